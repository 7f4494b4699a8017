import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reading } from '../src/call/files/reading.js';
import { streamOf } from '../testing/files.js';
import { seeded } from '../testing/random.js';

const content = Uint8Array.from({ length: 10_000 }, (_, at) => at % 251);

/** A stream that decides itself how much comes at a time. @param {Uint8Array} bytes @returns {ReadableStream<any>} */
function parts(bytes) {
  const random = seeded(bytes.length);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const end = at + 1 + Math.floor(random() * 3000);
      controller.enqueue(bytes.slice(at, end));
      at = end;
      return undefined;
    },
  });
}

for (const [kind, stream] of /** @type {const} */ ([['that fills our memory', streamOf], ['with memory of its own', parts]])) {
  test(`what is read from a stream ${kind} is the file, from wherever one goes on`, async () => {
    let opened = 0;
    const reading = new Reading((from) => {
      opened += 1;
      return /** @type {any} */ (stream(content.slice(from), 700));
    }, 1024);
    const random = seeded(5);
    for (let at = 0; at < content.length; ) {
      const to = Math.min(content.length, at + 1 + Math.floor(random() * 1024));
      assert.deepEqual(await reading.read(at, to), content.subarray(at, to));
      at = to;
    }
    assert.equal(opened, 1, 'one stream for all of it');
    assert.deepEqual(await reading.read(300, 400), content.subarray(300, 400));
    assert.deepEqual(await reading.read(9_900, 10_100), content.subarray(9_900), 'the file ends');
    assert.equal(opened, 3);
    reading.close();
    assert.deepEqual(await reading.read(0, 10), content.subarray(0, 10));
  });
}

test('the same memory is used again', async () => {
  const reading = new Reading((from) => streamOf(content.slice(from)), 1000);
  const first = await reading.read(0, 1000);
  assert.equal(first.byteLength, 1000);
  const second = await reading.read(1000, 2000);
  assert.equal(first.byteLength, 0, 'taken back');
  assert.equal(second.byteLength, 1000);
});

test('a file that can not be read is an error', async () => {
  const reading = new Reading(() => /** @type {any} */ (new ReadableStream({ pull: () => Promise.reject(new Error('NotReadableError')) })), 10);
  await assert.rejects(reading.read(0, 10));
});
