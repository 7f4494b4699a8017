import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { CHUNK_BYTES, MOST_OFFERS, WINDOW_BYTES, chunkWriter, readMessage } from '../src/call/files/messages.js';
import { BUFFER_BYTES } from '../src/call/files/outgoing.js';
import { newSha256 } from '../src/call/files/sha256.js';
import { FakeChannel, FakeSink, fakeFile, turn, twoPeople } from '../testing/files.js';
import { seeded } from '../testing/random.js';

/** @import { IncomingTransfer } from '../src/call/files/incoming.js' */

const chunkMessage = chunkWriter();

/** @param {number} length @param {() => number} [random] */
function noise(length, random = seeded(length + 1)) {
  const content = new Uint8Array(length);
  let state = Math.floor(random() * 2 ** 32);
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    content[at] = state >>> 24;
  }
  return content;
}

/** Offers a file and has it accepted, over a channel that is there. */
async function begin(/** @type {Uint8Array} */ content, sink = new FakeSink()) {
  const people = twoPeople();
  const channel = people.connect();
  await channel.run();
  const outgoing = people.near.offer(fakeFile(content));
  await channel.run();
  const [incoming] = people.far.incoming;
  const accepted = incoming.accept(sink);
  await turn();
  return { ...people, channel, outgoing, incoming, sink, accepted };
}

test('SHA-256 as it comes is SHA-256 of the whole', async () => {
  const random = seeded(256);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 1000, 100_000]) {
    const content = noise(length);
    const hash = await newSha256();
    for (let at = 0; at < length; ) {
      const step = 1 + Math.floor(random() * 200);
      hash.update(content.subarray(at, at + step));
      at += step;
    }
    assert.equal(Buffer.from(await hash.digest()).toString('hex'), createHash('sha256').update(content).digest('hex'), `${length} bytes`);
  }
});

test('files of all sizes arrive whole and are verified', async () => {
  for (const size of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, WINDOW_BYTES, 10_000_000]) {
    const content = noise(size);
    const { channel, outgoing, incoming, sink } = await begin(content);
    await channel.run();
    assert.deepEqual([outgoing.state, incoming.state, sink.state], ['done', 'done', 'closed'], `${size} bytes`);
    assert.ok(sink.content.equals(content), `${size} bytes`);
    assert.deepEqual([outgoing.bytes, incoming.bytes], [size, size]);
  }
});

test('nothing is sent before somebody agreed', async () => {
  const { near, far, connect } = twoPeople();
  const channel = connect();
  await channel.run();
  near.offer(fakeFile(noise(1000)));
  await channel.run();
  assert.equal(far.incoming[0].state, 'offered');
  assert.equal(channel.near.mostBuffered < 1000, true);
  // Content that comes all the same is dropped.
  channel.near.send(chunkMessage(1, 0, noise(10)));
  await channel.run();
  assert.deepEqual([far.incoming[0].state, far.incoming[0].bytes], ['offered', 0]);
});

test('a refusal is told', async () => {
  const { near, far, connect } = twoPeople();
  const channel = connect();
  await channel.run();
  const outgoing = near.offer(fakeFile(noise(10)));
  await channel.run();
  far.incoming[0].refuse();
  await channel.run();
  assert.deepEqual([outgoing.state, far.incoming[0].state], ['refused', 'refused']);
});

test('either side may cancel in the middle, and nothing is left', async () => {
  for (const who of /** @type {const} */ (['outgoing', 'incoming'])) {
    const transfer = await begin(noise(3_000_000));
    await transfer.channel.run(10);
    assert.ok(transfer.incoming.bytes > 0 && transfer.incoming.bytes < 3_000_000);
    transfer[who].cancel();
    await transfer.channel.run();
    assert.deepEqual([transfer.outgoing.state, transfer.incoming.state, transfer.sink.state], ['cancelled', 'cancelled', 'aborted'], who);
  }
});

test('who cancels too late is told that the other one has it all', async () => {
  const { channel, outgoing, incoming } = await begin(noise(1000));
  while (incoming.state !== 'done') await channel.run(1);
  assert.equal(outgoing.state, 'checking');
  outgoing.cancel();
  assert.equal(outgoing.state, 'cancelled');
  await channel.run();
  assert.deepEqual([outgoing.state, incoming.state], ['done', 'done']);
});

test('a slow disk slows the sender down, and neither side fills its memory', async () => {
  const sink = new FakeSink();
  /** @type {(() => void)[]} */
  const writes = [];
  sink.slowness = () => new Promise((resolve) => writes.push(() => resolve(undefined)));
  const { channel, outgoing, incoming } = await begin(noise(12_000_000), sink);
  await channel.run();
  // Nothing has been written: a window has come, and no more.
  assert.equal(incoming.bytes, 0);
  assert.ok(outgoing.bytes <= WINDOW_BYTES, `${outgoing.bytes}`);
  assert.ok(outgoing.bytes > WINDOW_BYTES / 2);
  while (!incoming.ended) {
    assert.ok(outgoing.bytes - incoming.bytes <= WINDOW_BYTES, 'what was sent and is not written');
    writes.shift()?.();
    await turn();
    await channel.run(3);
  }
  assert.equal(incoming.state, 'done');
  assert.ok(channel.near.mostBuffered <= BUFFER_BYTES + 33 * CHUNK_BYTES, `${channel.near.mostBuffered}`);
});

test('a pause of either side stops the content, and only when both go on it flows again', async () => {
  const { channel, outgoing, incoming, sink } = await begin(noise(8_000_000));
  await channel.run(5);
  incoming.pauseHere(false);
  outgoing.pauseHere(true);
  await channel.run();
  const { bytes } = incoming;
  assert.ok(bytes < 8_000_000);
  assert.deepEqual([outgoing.pausedThere, incoming.pausedThere, outgoing.speed], [true, true, 0]);
  incoming.resumeHere(false);
  await channel.run();
  assert.equal(incoming.bytes, bytes);
  outgoing.resumeHere(true);
  await channel.run();
  assert.deepEqual([incoming.state, sink.content.length], ['done', 8_000_000]);
});

test('what was under way goes on over a new connection, wherever the old one broke', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = seeded(seed);
    const content = noise(Math.floor(random() * 4_000_000), random);
    const { near, far, connect } = twoPeople();
    const sink = new FakeSink();
    const outgoing = near.offer(fakeFile(content));
    /** @type {IncomingTransfer | undefined} */
    let incoming;
    for (let cuts = 0; !outgoing.ended; cuts += 1) {
      assert.ok(cuts < 200, `seed ${seed} comes to an end: ${outgoing.state} ${incoming?.state}`);
      const channel = connect();
      await channel.run(Math.floor(random() * 30));
      incoming = far.incoming[0];
      if (incoming?.state === 'offered' && random() < 0.5) void incoming.accept(sink);
      if (random() < 0.1) incoming?.pauseHere(false);
      if (random() < 0.1) outgoing.pauseHere(true);
      await channel.run(Math.floor(random() * 60));
      incoming?.resumeHere(false);
      outgoing.resumeHere(true);
      channel.cut();
      await turn();
      // Some is decided while there is no connection.
      if (incoming?.state === 'offered' && random() < 0.5) void incoming.accept(sink);
    }
    assert.deepEqual([outgoing.state, incoming?.state], ['done', 'done'], `seed ${seed}`);
    assert.ok(sink.content.equals(content), `seed ${seed}: content`);
  }
});

test('a cancellation while the connection is away is told when it is back', async () => {
  for (const who of /** @type {const} */ (['outgoing', 'incoming'])) {
    const transfer = await begin(noise(3_000_000));
    await transfer.channel.run(10);
    transfer.channel.cut();
    transfer[who].cancel();
    const channel = transfer.connect();
    await channel.run();
    assert.deepEqual([transfer.outgoing.state, transfer.incoming.state], ['cancelled', 'cancelled'], who);
  }
});

test('when somebody leaves, their transfers fail and leave nothing', async () => {
  const { near, far, channel, outgoing, incoming, sink } = await begin(noise(3_000_000));
  await channel.run(10);
  near.end();
  far.end();
  await turn();
  assert.deepEqual([outgoing.state, outgoing.reason, incoming.state, incoming.reason, sink.state], ['failed', 'lost', 'failed', 'lost', 'aborted']);
});

/** A receiver, and a sender who says and sends what it likes. */
async function receiveFrom(/** @type {number} */ size) {
  const { far } = twoPeople();
  const channel = new FakeChannel();
  far.attach(/** @type {any} */ (channel.far));
  /** @type {any[]} */
  const told = [];
  channel.near.onmessage = ({ data }) => told.push(JSON.parse(data));
  const say = (/** @type {object} */ message) => channel.near.send(JSON.stringify(message));
  say({ type: 'offer', id: 1, name: 'x', size });
  await channel.run();
  const sink = new FakeSink();
  const [incoming] = far.incoming;
  await incoming.accept(sink);
  await channel.run();
  return { channel, say, told, incoming, sink };
}

test('more than was declared is not taken', async () => {
  const { channel, incoming, sink, told } = await receiveFrom(1000);
  channel.near.send(chunkMessage(1, 0, noise(900)));
  channel.near.send(chunkMessage(1, 900, noise(900)));
  await channel.run();
  assert.deepEqual([incoming.state, incoming.reason, sink.state], ['failed', 'size', 'aborted']);
  assert.ok(sink.content.length <= 1000);
  assert.deepEqual(told.at(-1), { type: 'cancel', id: 1, mine: false, reason: 'size' });
});

test('less than was declared is not taken for the whole', async () => {
  const { channel, say, incoming, sink } = await receiveFrom(1000);
  channel.near.send(chunkMessage(1, 0, noise(900)));
  say({ type: 'done', id: 1, sha256: createHash('sha256').update(noise(900)).digest('hex') });
  await channel.run();
  assert.deepEqual([incoming.state, incoming.reason, sink.state], ['failed', 'size', 'aborted']);
});

test('other content than was sent is not kept', async () => {
  const { channel, say, incoming, sink } = await receiveFrom(1000);
  channel.near.send(chunkMessage(1, 0, noise(1000)));
  say({ type: 'done', id: 1, sha256: '0'.repeat(64) });
  await channel.run();
  assert.deepEqual([incoming.state, incoming.reason, sink.state], ['failed', 'hash', 'aborted']);
});

test('a sender who does not wait for credit is cut off', async () => {
  const { channel, incoming, sink } = await receiveFrom(100_000_000);
  sink.slowness = () => new Promise(() => {});
  for (let sent = 0; sent <= WINDOW_BYTES; sent += CHUNK_BYTES) channel.near.send(chunkMessage(1, sent, noise(CHUNK_BYTES)));
  await channel.run();
  assert.deepEqual([incoming.state, incoming.reason], ['failed', 'limit']);
});

test('a full disk is told to both', async () => {
  const sink = new FakeSink();
  sink.room = 1_000_000;
  const { channel, outgoing, incoming } = await begin(noise(3_000_000), sink);
  await channel.run();
  assert.deepEqual([incoming.reason, outgoing.reason, sink.state], ['write', 'write', 'aborted']);
});

test('a file that changed after it was chosen is told to both', async () => {
  const { near, far, connect } = twoPeople();
  const channel = connect();
  await channel.run();
  const shrunk = { ...fakeFile(noise(100)), size: 2_000_000 };
  const gone = { name: 'gone', size: 5, stream: () => new ReadableStream({ pull: () => Promise.reject(new Error('NotReadableError')) }) };
  const transfers = [near.offer(shrunk), near.offer(gone)];
  await channel.run();
  for (const incoming of far.incoming) await incoming.accept(new FakeSink());
  await channel.run();
  assert.deepEqual([...transfers, ...far.incoming].map(({ reason }) => reason), ['read', 'read', 'read', 'read']);
});

test('offers beyond some are refused by themselves', async () => {
  const { near, far, connect } = twoPeople();
  const channel = connect();
  await channel.run();
  const transfers = Array.from({ length: MOST_OFFERS + 5 }, () => near.offer(fakeFile(noise(1))));
  await channel.run();
  assert.equal(far.incoming.length, MOST_OFFERS);
  assert.equal(transfers.filter(({ state }) => state === 'refused').length, 5);
});

test('what makes no sense is ignored', () => {
  const offer = { type: 'offer', id: 1, name: 'x', size: 1 };
  assert.deepEqual(readMessage(JSON.stringify(offer)), offer);
  for (const bad of [
    '', 'null', '[]', '{"type":"offer"}', '{"type":"what","id":1}',
    JSON.stringify({ ...offer, id: 0 }), JSON.stringify({ ...offer, id: 2 ** 32 }), JSON.stringify({ ...offer, size: -1 }),
    JSON.stringify({ ...offer, size: 1.5 }), JSON.stringify({ ...offer, name: {} }), JSON.stringify({ type: 'credit', id: 1 }),
    JSON.stringify({ type: 'done', id: 1, sha256: 7 }),
  ]) assert.equal(readMessage(bad), null, bad);
  assert.deepEqual(readMessage(JSON.stringify({ type: 'cancel', id: 1, mine: 1, reason: '<b>' })), { type: 'cancel', id: 1, mine: false, reason: null });
});
