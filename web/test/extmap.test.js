import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutCollisions } from '../src/call/extmap.js';

/** @param {string[][]} sections */
const sdp = (sections) => `v=0\r\n${sections.map((lines) => `m=x\r\n${lines.map((line) => `a=extmap:${line}\r\n`).join('')}`).join('')}`;

test('where every number means one thing nothing is touched', () => {
  const sound = sdp([['1 urn:level', '4 urn:mid'], ['2/sendonly urn:time', '4 urn:mid'], []]);
  assert.equal(withoutCollisions(sound), sound);
  assert.equal(withoutCollisions('v=0\r\n'), 'v=0\r\n');
});

test('the later one gets another number, the same in all sections', () => {
  assert.equal(
    withoutCollisions(sdp([['1 urn:level', '4 urn:mid'], ['1 urn:offset', '2 urn:time', '4 urn:mid'], ['1/sendonly urn:offset https://x', '3 urn:level']])),
    sdp([['1 urn:level', '4 urn:mid'], ['5 urn:offset', '2 urn:time', '4 urn:mid'], ['5/sendonly urn:offset https://x', '3 urn:level']]),
  );
});

test('an extension that has a number elsewhere keeps it', () => {
  assert.equal(withoutCollisions(sdp([['1 urn:a', '2 urn:b'], ['1 urn:b']])), sdp([['1 urn:a', '2 urn:b'], ['2 urn:b']]));
});

test('when all numbers are taken the description stays as it is', () => {
  const all = Array.from({ length: 14 }, (_, index) => `${index + 1} urn:${index + 1}`);
  assert.equal(withoutCollisions(sdp([all, ['1 urn:more']])), sdp([all, ['1 urn:more']]));
});
