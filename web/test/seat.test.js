import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Seat } from '../src/seat.js';

/** A tab's storage, which a duplicated tab has a copy of. @param {Map<string, string>} [items] */
function tab(items = new Map()) {
  return {
    items,
    getItem: (/** @type {string} */ key) => items.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => void items.set(key, value),
    removeItem: (/** @type {string} */ key) => void items.delete(key),
    duplicate: () => tab(new Map(items)),
  };
}

/** The browser's locks, of which nobody waits longer than a turn. */
function locks() {
  const held = new Set();
  return /** @type {any} */ ({
    held,
    request: async (/** @type {string} */ name, /** @type {any} */ _options, /** @type {() => Promise<unknown>} */ callback) => {
      if (held.has(name)) await new Promise((resolve) => setImmediate(resolve));
      if (held.has(name)) throw new DOMException('', 'TimeoutError');
      held.add(name);
      await callback();
      held.delete(name);
    },
  });
}

let ids = 0;
let time = 0;
const now = () => time;
const newId = () => String((ids += 1));
const place = { room: 'tea', session: { ticket: 't', received: 7, sent: 1000, windowS: 60 }, media: { audio: false, video: true } };
const turn = () => new Promise((resolve) => setImmediate(resolve));
const at = (/** @type {any} */ taken) => taken && { room: taken.room, session: taken.session, media: taken.media };

// The host of a locked room who reloaded the page was locked out of it, and so was everybody else.
test('a page that is loaded anew has the place of the one before, also after a crash', async () => {
  for (const isLeft of [true, false]) {
    const [storage, shared] = [tab(), locks()];
    const first = new Seat({ storage, locks: shared, newId, now });
    first.keep({ ...place, session: { ...place.session, ticket: 'older' } });
    first.keep(place, isLeft);
    // The next page may be there first.
    const taking = new Seat({ storage, locks: shared, newId, now }).take('tea');
    first.release();
    assert.deepEqual(at(await taking), place);
    assert.equal(storage.items.size, 1, 'and it may crash as well');
    assert.equal(shared.held.size, 1);
  }
});

test('a tab that was duplicated is somebody else, and takes nothing from the first', async () => {
  const [storage, shared] = [tab(), locks()];
  new Seat({ storage, locks: shared, newId, now }).keep(place);
  const copy = storage.duplicate();
  const second = new Seat({ storage: copy, locks: shared, newId, now });
  assert.equal(await second.take('tea'), null);
  assert.equal(copy.items.size, 0);
  assert.equal(storage.items.size, 1);
  // It has a place of its own.
  second.keep({ ...place, session: { ...place.session, ticket: 'mine' } });
  assert.equal(shared.held.size, 2);
});

test('without locks only a page that was left in good order leaves its place behind, once', async () => {
  const storage = tab();
  const first = new Seat({ storage, locks: undefined, newId, now });
  first.keep(place);
  assert.equal(storage.items.size, 0, 'a duplicate would have it, too');
  first.keep(place, true);
  assert.deepEqual(at(await new Seat({ storage, locks: undefined, newId, now }).take('tea')), place);
  assert.equal(await new Seat({ storage, locks: undefined, newId, now }).take('tea'), null);
});

test('a place is of one room, and gone when it was given up or is nonsense', async () => {
  const [storage, shared] = [tab(), locks()];
  const first = new Seat({ storage, locks: shared, newId, now });
  first.keep(place);
  assert.equal(await new Seat({ storage, locks: shared, newId, now }).take('coffee'), null);
  first.keep(place);
  first.drop();
  await turn();
  assert.deepEqual([storage.items.size, shared.held.size], [0, 0]);
  for (const nonsense of ['', '{', 'null', '7', '{"room":"tea"}', '{"room":"tea","holder":"h","session":{"ticket":7},"media":{}}', '{"room":"tea","holder":"h","session":{"ticket":"t","received":"1"},"media":{"audio":true}}']) {
    storage.setItem('callbox.seat', nonsense);
    assert.equal(await first.take('tea'), null, nonsense);
    assert.equal(storage.items.size, 0);
  }
});

// A browser that opened its tabs of yesterday was in the room at once, with camera and microphone.
test('a place is good for as long as the server waits, and a little longer', async () => {
  for (const [ms, isGood] of /** @type {const} */ ([[0, true], [60_000, true], [120_000, true], [121_000, false], [-1, false]])) {
    const storage = tab();
    const first = new Seat({ storage, locks: locks(), newId, now });
    first.keep(place, true);
    first.release();
    time += ms;
    const next = new Seat({ storage, locks: locks(), newId, now });
    assert.equal((await next.take('tea')) !== null, isGood, `${ms} ms`);
    assert.equal(storage.items.size, isGood ? 1 : 0);
  }
});

test('a storage that takes nothing, or denies everything, stops nobody', async () => {
  const full = tab();
  const seat = new Seat({ storage: full, locks: locks(), newId, now });
  seat.keep(place);
  full.setItem = () => {
    throw new DOMException('', 'QuotaExceededError');
  };
  seat.keep(place);
  assert.equal(full.items.size, 0, 'what is older is worth nothing');
  const deny = () => {
    throw new DOMException('', 'SecurityError');
  };
  const denied = new Seat({ storage: { getItem: deny, setItem: deny, removeItem: deny }, locks: locks(), newId, now });
  denied.keep(place, true);
  assert.equal(await denied.take('tea'), null);
  denied.drop();
});

test('a place that is given up before the browser has granted its lock is held by nobody', async () => {
  const shared = locks();
  const { request } = shared;
  shared.request = async (/** @type {any[]} */ ...all) => {
    await turn();
    return request(...all);
  };
  const storage = tab();
  const seat = new Seat({ storage, locks: shared, newId, now });
  seat.keep(place, true);
  seat.release();
  for (let turns = 0; turns < 5; turns += 1) await turn();
  assert.equal(shared.held.size, 0);
  assert.deepEqual(at(await new Seat({ storage, locks: shared, newId, now }).take('tea')), place);
});
