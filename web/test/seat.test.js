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
const newId = () => String((ids += 1));
const place = { room: 'tea', session: { ticket: 't', received: 7 }, media: { audio: false, video: true } };
const turn = () => new Promise((resolve) => setImmediate(resolve));
const at = (/** @type {any} */ taken) => taken && { room: taken.room, session: taken.session, media: taken.media };

// The host of a locked room who reloaded the page was locked out of it, and so was everybody else.
test('a page that is loaded anew has the place of the one before, also after a crash', async () => {
  for (const isLeft of [true, false]) {
    const [storage, shared] = [tab(), locks()];
    const first = new Seat({ storage, locks: shared, newId });
    first.keep({ ...place, session: { ticket: 'older', received: 1 } });
    first.keep(place, isLeft);
    // The next page may be there first.
    const taking = new Seat({ storage, locks: shared, newId }).take('tea');
    first.release();
    assert.deepEqual(at(await taking), place);
    assert.equal(storage.items.size, 1, 'and it may crash as well');
    assert.equal(shared.held.size, 1);
  }
});

test('a tab that was duplicated is somebody else, and takes nothing from the first', async () => {
  const [storage, shared] = [tab(), locks()];
  new Seat({ storage, locks: shared, newId }).keep(place);
  const copy = storage.duplicate();
  const second = new Seat({ storage: copy, locks: shared, newId });
  assert.equal(await second.take('tea'), null);
  assert.equal(copy.items.size, 0);
  assert.equal(storage.items.size, 1);
  // It has a place of its own.
  second.keep({ ...place, session: { ticket: 'mine', received: 0 } });
  assert.equal(shared.held.size, 2);
});

test('without locks only a page that was left in good order leaves its place behind, once', async () => {
  const storage = tab();
  const first = new Seat({ storage, locks: undefined, newId });
  first.keep(place);
  assert.equal(storage.items.size, 0, 'a duplicate would have it, too');
  first.keep(place, true);
  assert.deepEqual(at(await new Seat({ storage, locks: undefined, newId }).take('tea')), place);
  assert.equal(await new Seat({ storage, locks: undefined, newId }).take('tea'), null);
});

test('a place is of one room, and gone when it was given up or is nonsense', async () => {
  const [storage, shared] = [tab(), locks()];
  const first = new Seat({ storage, locks: shared, newId });
  first.keep(place);
  assert.equal(await new Seat({ storage, locks: shared, newId }).take('coffee'), null);
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
