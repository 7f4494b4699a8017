import assert from 'node:assert/strict';
import { test } from 'node:test';
import { safeFileName } from '../src/call/files/name.js';

test('names from elsewhere become names that are safe here', () => {
  for (const [name, safe] of [
    ['report.pdf', 'report.pdf'],
    ['보고서 최종.pdf', '보고서 최종.pdf'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Windows\\system.ini', 'system.ini'],
    ['a\u202Egpj.exe', 'agpj.exe'],
    ['a\u0000b\nc\t.txt', 'abc.txt'],
    ['.bashrc', 'bashrc'],
    ['...', 'file'],
    ['', 'file'],
    ['/', 'file'],
    ['con', '_con'],
    ['CON.txt', '_CON.txt'],
    ['lpt1.tar.gz', '_lpt1.tar.gz'],
    ['console.log', 'console.log'],
    ['x. . ', 'x'],
    ['<b>"x"|y?.html', '_b__x__y_.html'],
    ['\ufeff\u200bhidden', 'hidden'],
    ['lone\ud800surrogate', 'lonesurrogate'],
    ['e\u0301.txt', '\u00e9.txt'],
  ]) assert.equal(safeFileName(name), safe, JSON.stringify(name));
  for (const none of [undefined, null, 7, {}]) assert.equal(safeFileName(none), 'file');
});

test('long names are cut in front of their ending', () => {
  const name = safeFileName(`${'가'.repeat(500)}.tar.gz`);
  assert.ok(new TextEncoder().encode(name).length <= 200);
  assert.match(name, /^가+\.gz$/);
  assert.ok(safeFileName(`a.${'b'.repeat(500)}`).length <= 200);
});

test('a safe name stays as it is', () => {
  for (const name of ['../con', '.a', 'x\u202e', `${'é'.repeat(300)}.jpg`, 'a:b', '']) {
    const safe = safeFileName(name);
    assert.equal(safeFileName(safe), safe);
  }
});

// 60,000 of these once took a minute: this many would never end.
test('a name of a million characters is cut before it is worked on, and keeps its ending', () => {
  const many = 1_000_000;
  assert.equal(safeFileName(`${'. '.repeat(many)}x.pdf`), 'x.pdf');
  assert.match(safeFileName(`x${' .'.repeat(many)}x.pdf`), /^x\.pdf$/);
  assert.match(safeFileName(`a${'\u0315\u0300'.repeat(many)}.pdf`), /\.pdf$/);
});
