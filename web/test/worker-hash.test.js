import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { newSha256 } from '../src/call/files/sha256.js';
import { WorkerHashes } from '../src/call/files/worker-hash.js';
import { seeded } from '../testing/random.js';

/** @import { HashRequest, HashWorker } from '../src/call/files/worker-hash.js' */

/** The worker's own script, in a thread of Node that looks like a browser's worker. */
function thread() {
  const script = `
    import { parentPort } from 'node:worker_threads';
    globalThis.postMessage = (data, { transfer }) => parentPort.postMessage(data, transfer);
    globalThis.addEventListener = (type, listener) => parentPort.on(type, (data) => listener({ data }));
    await import(${JSON.stringify(new URL('../src/call/files/hash-worker.js', import.meta.url).href)});`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
  /** @type {HashWorker} */
  const face = { postMessage: (request, transfer) => worker.postMessage(request, transfer), onmessage: null, onerror: null };
  worker.on('message', (data) => face.onmessage?.({ data }));
  worker.on('error', (error) => face.onerror?.(error));
  return { face, end: () => worker.terminate() };
}

test('a worker hashes several files at once as others do', async () => {
  const { face, end } = thread();
  const hashes = new WorkerHashes(face);
  const random = seeded(77);
  await Promise.all(
    [0, 1, 100_000, 2_000_000].map(async (length) => {
      const content = Uint8Array.from({ length }, () => Math.floor(random() * 256));
      const hash = hashes.create();
      for (let at = 0; at < length; at += 16_372) await hash.update(content.subarray(at, at + 16_372));
      assert.equal(Buffer.from(await hash.digest()).toString('hex'), createHash('sha256').update(content).digest('hex'), `${length} bytes`);
    }),
  );
  await end();
});

/** A worker that answers when told to. */
class SlowWorker {
  /** @type {HashWorker['onmessage']} */ onmessage = null;
  /** @type {HashWorker['onerror']} */ onerror = null;
  /** @type {HashRequest[]} */ requests = [];

  /** @param {HashRequest} request */
  postMessage(request) {
    this.requests.push(request);
  }

  answer() {
    const request = this.requests.shift();
    if (request) this.onmessage?.({ data: { ...request, digest: null, failed: false } });
  }
}

test('no more is on its way to a slow worker than it can hold', async () => {
  const worker = new SlowWorker();
  const hash = new WorkerHashes(worker).create();
  let taken = 0;
  const feeding = (async () => {
    for (; taken < 100; taken += 1) await hash.update(new Uint8Array(100_000));
  })();
  for (let turn = 0; turn < 50; turn += 1) await new Promise((next) => setImmediate(next));
  assert.equal(worker.requests.length, 1);
  assert.ok(taken <= 6, `${taken} × 100 kB`);
  while (taken < 100) {
    worker.answer();
    await new Promise((next) => setImmediate(next));
  }
  await feeding;
});

test('a worker that breaks is an error, not silence', async () => {
  const worker = new SlowWorker();
  const hashes = new WorkerHashes(worker);
  const hash = hashes.create();
  const digest = Promise.resolve(hash.digest());
  await new Promise((next) => setImmediate(next));
  worker.onerror?.(new Error('out of memory'));
  await assert.rejects(digest);
  await assert.rejects(Promise.resolve(hashes.create().digest()));
  assert.equal(hashes.broken, true);
  assert.ok(await newSha256());
});
