import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SpeakerChoice } from '../src/call/speaker.js';

/** @param {Record<string, number>} levels */
const heard = (levels) => new Map(Object.entries(levels));

test('nobody speaks until somebody does, and then it is them at once', () => {
  const choice = new SpeakerChoice();
  assert.equal(choice.hear(heard({ a: 0.001, b: 0 }), 0), null);
  assert.equal(choice.hear(heard({ a: 0.1, b: 0 }), 250), 'a');
});

test('whoever pauses keeps the stage', () => {
  const choice = new SpeakerChoice();
  choice.hear(heard({ a: 0.1, b: 0 }), 0);
  assert.equal(choice.hear(heard({ a: 0, b: 0 }), 60_000), 'a');
});

test('a cough does not take the stage, a sentence does', () => {
  const choice = new SpeakerChoice();
  choice.hear(heard({ a: 0.1, b: 0 }), 0);
  assert.equal(choice.hear(heard({ a: 0, b: 0.3 }), 250), 'a');
  assert.equal(choice.hear(heard({ a: 0.1, b: 0 }), 500), 'a');
  assert.equal(choice.hear(heard({ a: 0, b: 0.3 }), 750), 'a');
  assert.equal(choice.hear(heard({ a: 0, b: 0.2 }), 1000), 'a');
  assert.equal(choice.hear(heard({ a: 0, b: 0.2 }), 1450), 'b');
});

test('of several who speak the loudest one counts', () => {
  const choice = new SpeakerChoice();
  assert.equal(choice.hear(heard({ a: 0.1, b: 0.4, c: 0.2 }), 0), 'b');
});

test('whoever has left does not stay on the stage', () => {
  const choice = new SpeakerChoice();
  choice.hear(heard({ a: 0.1, b: 0 }), 0);
  assert.equal(choice.hear(heard({ b: 0 }), 250), null);
  assert.equal(choice.hear(heard({ b: 0.1 }), 500), 'b');
});
