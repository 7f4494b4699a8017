import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newIdentity } from '../src/call/identity.js';

test('a page is known again in its next session, by each of the others', async () => {
  const [ann, bob, cyd] = [newIdentity(), newIdentity(), newIdentity()];
  const first = await ann.introduce('a1', 'b');
  const page = await bob.recognise(first, 'a1', 'b');
  assert.equal(typeof page, 'string');
  assert.equal(await bob.recognise(await ann.introduce('a2', 'b'), 'a2', 'b'), page);
  assert.equal(await cyd.recognise(await ann.introduce('a2', 'c'), 'a2', 'c'), page);
  assert.notEqual(await bob.recognise(await cyd.introduce('c', 'b'), 'c', 'b'), page);
});

test('what was told to one is of no use to tell it to another, or as somebody else', async () => {
  const [ann, bob] = [newIdentity(), newIdentity()];
  const told = await ann.introduce('a', 'eve');
  assert.equal(await bob.recognise(told, 'eve', 'b'), null);
  assert.equal(await bob.recognise(told, 'a', 'b'), null);
  const { proof } = /** @type {any} */ (await newIdentity().introduce('eve', 'b'));
  assert.equal(await bob.recognise({ ...told, proof }, 'eve', 'b'), null);
});

test('nonsense proves nothing', async () => {
  const bob = newIdentity();
  for (const said of [null, 7, 'page', [], {}, { key: 1, proof: 2 }, { key: '', proof: '' }, { key: '%', proof: '%' }, { key: 'AAAA', proof: 'AAAA' }]) {
    assert.equal(await bob.recognise(said, 'a', 'b'), null);
  }
});

test('a browser that lets nobody make a key says nothing, and still knows others', async () => {
  const generateKey = () => Promise.reject(new DOMException('not here', 'NotSupportedError'));
  const { subtle } = globalThis.crypto;
  const bound = { importKey: subtle.importKey.bind(subtle), verify: subtle.verify.bind(subtle), generateKey };
  const bob = newIdentity(/** @type {any} */ (bound));
  assert.equal(await bob.introduce('b', 'a'), null);
  assert.equal(typeof (await bob.recognise(await newIdentity().introduce('a', 'b'), 'a', 'b')), 'string');
});

test('a browser without keys says nothing and takes nobody for anybody', async () => {
  const bare = newIdentity(/** @type {any} */ (null));
  const introduction = await newIdentity().introduce('a', 'b');
  assert.equal(await bare.introduce('b', 'a'), null);
  assert.equal(await bare.recognise(introduction, 'a', 'b'), null);
});
