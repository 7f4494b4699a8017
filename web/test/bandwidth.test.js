import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SendBudget } from '../src/call/bandwidth.js';

/** @param {number} available */
const limited = (available) => ({ available, limited: true });
/** @param {number} available */
const free = (available) => ({ available, limited: false });

test('as long as no limit has shown everybody gets the whole picture', () => {
  const budget = new SendBudget();
  budget.look([free(300_000), free(400_000)]);
  assert.deepEqual(budget.limits({ recipients: 2, low: false, both: false }), { camera: 2_500_000, cameraScale: 1, screen: 2_500_000, framesPerSecond: 30 });
});

test('a short upload is shared, and the picture gets smaller rather than blurred', () => {
  const budget = new SendBudget();
  budget.look([limited(1_000_000), limited(1_000_000)]);
  const { camera, cameraScale } = budget.limits({ recipients: 2, low: false, both: false });
  assert.deepEqual([camera, cameraScale], [850_000, 2]);
  assert.equal(budget.limits({ recipients: 8, low: false, both: false }).cameraScale, 4);
  assert.ok(budget.limits({ recipients: 1000, low: false, both: false }).camera >= 120_000, 'but never to nothing');
});

test('one connection that is short is enough to share: they leave through the same door', () => {
  const budget = new SendBudget();
  budget.look([limited(200_000), free(600_000)]);
  assert.equal(budget.upload, 800_000);
});

test('after a shortage more is tried, until nothing limits any more', () => {
  const budget = new SendBudget();
  budget.look([limited(500_000)]);
  for (let second = 0; second < 10; second += 1) budget.look([free(800_000)]);
  const later = budget.limits({ recipients: 1, low: false, both: false }).camera;
  assert.ok(later > 800_000 && later < 1_000_000, String(later));
  for (let second = 0; second < 60; second += 1) budget.look([free(800_000)]);
  assert.equal(budget.upload, null);
});

test('whoever asks for little gets little, also where there is much', () => {
  const budget = new SendBudget();
  assert.deepEqual(budget.limits({ recipients: 1, low: true, both: false }), { camera: 150_000, cameraScale: 4, screen: 300_000, framesPerSecond: 12 });
});

test('camera and screen together take no more than there is, and the screen takes most', () => {
  const budget = new SendBudget();
  assert.equal(budget.limits({ recipients: 1, low: false, both: true }).screen, 2_500_000, 'no limit has shown');
  budget.look([limited(1_000_000), limited(1_000_000)]);
  const { camera, cameraScale, screen } = budget.limits({ recipients: 2, low: false, both: true });
  assert.deepEqual([camera, cameraScale, screen], [212_500, 4, 637_500]);
  assert.equal(budget.limits({ recipients: 2, low: false, both: false }).screen, 850_000, 'alone it has all of it');
  assert.deepEqual(budget.limits({ recipients: 1, low: true, both: true }), { camera: 150_000, cameraScale: 4, screen: 300_000, framesPerSecond: 12 });
});

test('how many viewers the upload is enough for', () => {
  const budget = new SendBudget();
  assert.equal(budget.viewers, 12, 'computers code no more');
  budget.look([limited(1_500_000), limited(1_500_000)]);
  assert.equal(budget.viewers, 5);
  budget.look([limited(10_000)]);
  assert.equal(budget.viewers, 1);
});
