import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cleanName, cleanText, newRoomName, pathFromInput, roomFromInput, roomFromPath, roomPath } from '../src/protocol/room.js';

test('new rooms cannot be guessed and differ', () => {
  const fill = (/** @type {Uint8Array<ArrayBuffer>} */ bytes) => crypto.getRandomValues(bytes);
  const names = new Set(Array.from({ length: 500 }, () => newRoomName(fill)));
  assert.equal(names.size, 500);
  for (const name of names) assert.match(name, /^([a-km-z2-9]{5}-){3}[a-km-z2-9]{5}$/);
});

test('no letter of a new room is more likely than another', () => {
  /** @type {Map<string, number>} */ const seen = new Map();
  for (let value = 0; value < 256; value += 1) {
    let round = 0;
    // Names of one byte value only; a value that is refused is followed by none.
    const fill = (/** @type {Uint8Array<ArrayBuffer>} */ bytes) => {
      round += 1;
      if (round > 1) throw new Error('refused');
      return bytes.fill(value);
    };
    try {
      const [character] = newRoomName(fill);
      seen.set(character, (seen.get(character) ?? 0) + 1);
    } catch {
      assert.ok(value >= 248, `${value} is refused`);
    }
  }
  assert.deepEqual([seen.size, ...new Set(seen.values())], [31, 8]);
});

test('a room is found in a name, a path and a link', () => {
  assert.equal(roomFromInput('  team '), 'team');
  assert.equal(roomFromInput('my team'), 'my-team');
  assert.equal(roomFromInput('https://call.example/room/abc-def?relay=1#x'), 'abc-def');
  assert.equal(roomFromInput('/room/%EB%B0%A9'), '방');
  assert.equal(roomFromInput('https://call.example/room/%E0%A4%A'), '%E0%A4%A');
  assert.equal(roomFromInput('   '), '');
});

// A pasted link once led into the room it named, but as a participant, and without its token not at all.
test('a pasted invitation stays what it is', () => {
  assert.equal(pathFromInput(' my team '), '/room/my-team');
  assert.equal(pathFromInput('https://call.example/room/abc?relay=1&lang=ko#x'), '/room/abc');
  assert.equal(pathFromInput('https://call.example/room/abc?watch=1'), '/room/abc?watch=1');
  assert.equal(pathFromInput('https://call.example/room/abc?watch=0'), '/room/abc');
  assert.equal(pathFromInput('https://call.example/room/abc/?watch=1#token=ey.J-_.x'), '/room/abc?watch=1#token=ey.J-_.x');
  assert.equal(pathFromInput('  '), '');
});

test('addresses and rooms belong together', () => {
  for (const room of ['team', '우리 방', 'a%b', '한국어-방']) {
    assert.equal(roomFromPath(roomPath(roomFromInput(room))), roomFromInput(room), room);
  }
  assert.equal(roomFromPath('/'), null);
  assert.equal(roomFromPath('/room/'), null);
  assert.equal(roomFromPath('/room/a/b'), null);
});

test('names lose what hides or reorders text, and their excess', () => {
  assert.equal(cleanName(' Mina\u202Egpj.exe\u200b \n x '), 'Mina gpj.exe x');
  assert.equal(cleanName('👩‍👩‍👧 Kim'), '👩‍👩‍👧 Kim');
  assert.equal([...new Intl.Segmenter().segment(cleanName('가'.repeat(10_000)))].length, 64);
  assert.ok(cleanName('a' + '\u0301'.repeat(1000)).length < 8);
  assert.equal(cleanName(undefined), '');
  assert.equal(cleanName({ toString: () => 'x' }), '');
});

test('chat keeps its lines', () => {
  assert.equal(cleanText('a\nb\u0007\u202e', 99), 'a\nb');
  assert.equal(cleanText(42, 99), '');
});

test('a text is cut between characters, and half a character is shown as what is missing', () => {
  assert.equal(cleanText('한글'.normalize('NFD'), 2), '한글');
  assert.equal(cleanText('ab🎉', 3), 'ab');
  assert.equal(cleanText('ab🎉', 4), 'ab🎉');
  assert.equal(cleanText('a\ud83d b', 9), 'a\ufffd b');
  assert.equal(cleanName('Mina\ud83d'), 'Mina\ufffd');
});

// One message once stopped the page for seconds: putting marks in order takes the square of their number.
test('whatever others send is cut before it is worked on, and marks are few before they are put in order', (t) => {
  /** @type {string[]} */ const worked = [];
  t.mock.method(String.prototype, 'normalize', /** @this {string} */ function () {
    worked.push(String(this));
    return String(this);
  });
  const marks = 'a' + '\u0315\u0300\u05ae\u0327'.repeat(65_536);
  cleanText(marks, 4000);
  cleanText('\u0315\u302e\u0300'.repeat(65_536), 4000);
  cleanName(marks);
  roomFromInput(marks);
  assert.equal(worked.length, 4);
  for (const text of worked) assert.doesNotMatch(text, /\p{M}{31}/u);
  for (const text of worked.slice(0, 3)) assert.ok(text.length <= 12_000, String(text.length));
  assert.ok(worked[2].length <= 1024);
});
