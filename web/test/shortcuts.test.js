import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionOf } from '../src/view/shortcuts.js';

const plain = { key: 'm', code: 'KeyM', ctrlKey: false, metaKey: false, altKey: false, repeat: false };

test('a letter alone does something', () => {
  assert.equal(actionOf(plain, false), 'microphone');
  assert.equal(actionOf({ ...plain, key: 'V', code: 'KeyV' }, false), 'camera');
  assert.equal(actionOf({ ...plain, key: 'q', code: 'KeyQ' }, false), null);
});

test('while one types, or with another key held, it does not', () => {
  assert.equal(actionOf(plain, true), null);
  for (const held of ['ctrlKey', 'metaKey', 'altKey', 'repeat']) assert.equal(actionOf({ ...plain, [held]: true }, false), null, held);
});

test('on a Korean keyboard the place of the key counts, on others its letter', () => {
  assert.equal(actionOf({ ...plain, key: 'ㅡ', code: 'KeyM' }, false), 'microphone');
  assert.equal(actionOf({ ...plain, key: 'm', code: 'Semicolon' }, false), 'microphone');
});

test('names of other keys are no letters', () => {
  for (const key of ['Enter', 'constructor', '__proto__', ' ', 'Meta']) assert.equal(actionOf({ ...plain, key, code: 'Enter' }, false), null, key);
});
