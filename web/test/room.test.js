import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { linkParts } from '../src/call/chat.js';
import { newRoomName, readInvitation } from '../src/protocol/invitation.js';
import { cleanName, cleanText, nameFromPath, readRoom, roomPath } from '../src/protocol/room.js';
import { readToken } from '../src/settings.js';

/** A name that the page has made. */
const MADE = 'abcde-fghjk-mnpqr-stuvw';

/** Where a pasted text leads on a page of `call.example`, or what is the matter with it. @param {string} input */
function leads(input) {
  const read = readInvitation(input, 'call.example');
  return 'path' in read ? read.path : read.problem;
}

/** The room at an address, or why there is none. @param {string} pathname */
function roomAt(pathname) {
  const name = nameFromPath(pathname);
  const { room, problem } = name === null ? { problem: null } : readRoom(name);
  return problem === undefined ? room : problem;
}

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
  assert.equal(leads('  team '), '/room/team');
  assert.equal(leads('my team'), '/room/my%20team');
  assert.equal(leads('https://call.example/room/abc-def?relay=1&lang=ko#x'), '/room/abc-def');
  assert.equal(leads('call.example/room/team.'), '/room/team');
  assert.equal(leads('Call.example/room/team'), '/room/team');
  assert.equal(leads('/room/%EB%B0%A9'), '/room/%EB%B0%A9');
  assert.equal(leads('https://call.example/room/%E0%A4%A'), '/room/%25E0%25A4%25A');
  assert.equal(leads('   '), 'missing');
  assert.equal(leads('https://call.example/check'), 'missing');
});

// A pasted link once led into the room it named, but as a participant, and without its token not at all.
test('a pasted invitation stays what it is', () => {
  assert.equal(leads('https://call.example/room/abc?watch=1'), '/room/abc?watch=1');
  assert.equal(leads('https://call.example/room/abc?watch=0'), '/room/abc');
  assert.equal(leads('https://call.example/room/abc/?watch=1#token=ey.J-_.x'), '/room/abc?watch=1#token=ey.J-_.x');
  for (const behind of ['.', ')', '로', '에서 봐요', '&utm_source=mail']) {
    assert.equal(leads(`https://call.example/room/abc#token=ey.J-_.x${behind}`), '/room/abc#token=ey.J-_.x', behind);
    assert.deepEqual(readToken(`#token=ey.J-_.x${behind}`), { token: 'ey.J-_.x' }, behind);
  }
});

// `/ ? # \` and spaces once became hyphens, and names were cut at 64 characters: people met strangers.
test('no name becomes another one', () => {
  const names = ['회의실 1', 'C#', 'team/a', 'team-a', 'a\\b', 'a?b', '50%', 'a+b', 'my team', '👩‍👩‍👧', '❤️', "it's", '(team)', 'team.', 'a..', '...', 'x'.repeat(128), '가'.repeat(128)];
  for (const name of names) {
    const path = roomPath(name);
    assert.equal(roomAt(new URL(path, 'https://call.example').pathname), name, name);
    assert.equal(leads(name), path, name);
    // The link survives the end of a sentence, brackets, and the page's own chat.
    for (const sentence of [`https://call.example${path}.`, `(https://call.example${path}), bye`, `[room](https://call.example${path})`]) {
      assert.equal(leads(sentence), path, sentence);
      assert.equal(linkParts(sentence).find(({ href }) => href)?.href, `https://call.example${path}`, sentence);
    }
  }
  // What looks like one room is one, whoever has typed it.
  for (const [typed, room] of [['한글'.normalize('NFD'), '한글'], [' my  team\u3000', 'my team'], ['a\u00a0b', 'a b']]) assert.equal(readRoom(typed).room, room);
});

test('a name that is too long or not to be seen is refused in words', () => {
  for (const [name, problem] of [
    ['x'.repeat(129), 'long'], [`${'x'.repeat(128)}-1`, 'long'], ['x'.repeat(3000), 'long'],
    ['\u3164', 'invisible'], ['\u2800', 'invisible'], ['a\u00adb', 'invisible'], ['a\u{e0061}', 'invisible'], ['a\u202eb', 'invisible'],
    ['a\u200bb', 'invisible'], ['\u200d', 'invisible'], ['a\u2028b', 'invisible'], ['a\ufffd', 'invisible'], ['.', 'invisible'], ['..', 'invisible'],
  ]) {
    assert.equal(readRoom(name).problem, problem, JSON.stringify(name));
    assert.equal(leads(name), problem, JSON.stringify(name));
    assert.equal(leads(`https://call.example${roomPath(name)}`), /^\.+$/.test(name) ? 'missing' : problem, JSON.stringify(name));
  }
  assert.equal(leads('a\ud83d'), 'invisible');
  assert.equal(leads('a\ufffd'), 'invisible');
  assert.equal(roomAt('/room/%20'), 'invisible');
});

test('an invitation survives what messengers and people do to it', () => {
  const link = `https://call.example/room/${MADE}`;
  const mail = `https://nam02.safelinks.protection.outlook.com/?url=${encodeURIComponent(link)}&data=05%7C01%7C&reserved=0`;
  for (const input of [
    `${link}.`, `${link},`, `${link}>`, `${link})`, `${link}"`, `${link}%3E`, `<${link}>`, `"${link}".`, `[Join](${link})`, `[${link}](${link})`,
    `**${link}**`, `_${link}_`, `${link}로`, `${link}에서`, `${link}으로 오세요`, `“${link}”`, `「${link}」`, link.toUpperCase(), `${link}/`, `${link}//`,
    `${link}?utm_source=kakao&fbclid=x`, `${link}\u200b`, `오늘 3시 ${link} 에서 봐요`, mail, `https://elsewhere.example/?to=${encodeURIComponent(mail)}`,
    `https://urldefense.com/v3/__${link}__;!!abc$`, `https://go.example/${link}`, MADE.toUpperCase(), `방: ${MADE}로`, `call.example/room/${MADE}`,
  ]) assert.equal(leads(input), `/room/${MADE}`, input);
  // The same where such a link is opened.
  for (const behind of ['', '.', ',', '%3E', ')', '%22', '로', '%EC%97%90%EC%84%9C', '/', '//', '**', '%E2%80%8B']) {
    assert.equal(roomAt(new URL(link + behind).pathname), MADE, behind);
  }
  assert.equal(roomAt(`/room/${MADE.toUpperCase()}`), MADE);
  // These are longer names, and rooms of their own.
  for (const name of [`${MADE}-2`, `x${MADE}`, `${MADE}x`, `${MADE} 2`, `${MADE}_2`, 'aBcde-fghjk-mnpqr-stuvw']) assert.equal(roomAt(`/room/${name}`), name);
});

test('a link to somewhere else is no room here', () => {
  for (const input of [
    'https://meet.example/Name', 'meet.example/Name', 'https://meet.example/room/Name', 'see https://meet.example/j/123?pwd=x', 'zoommtg://zoom.example/join',
    `https://other.example/room/${MADE}`, '[Join](https://meet.example/Name)', 'http://call.example:8080/room/a',
  ]) assert.match(leads(input), input.includes('call.example') ? /missing/ : /elsewhere/, input);
});

test('addresses and rooms belong together', () => {
  assert.equal(nameFromPath('/'), null);
  assert.equal(nameFromPath('/room/'), null);
  assert.equal(nameFromPath('/room/a/b'), null);
});

// A tile without a name, “ has joined”, and a button “Take   out of the call” were what others saw of these.
test('a name of invisible letters is none', () => {
  for (const name of ['\u3164', '\u2800', '\u00ad', '\u200d', '\u115f\u1160', '\uffa0', '\u034f', '\u{e0061}', '\ufe0f', ' \u3164\u2800 ']) {
    assert.equal(cleanName(name), '', JSON.stringify(name));
  }
  assert.equal(cleanName('👩‍👩‍👧'), '👩‍👩‍👧');
});

test('names lose what hides or reorders text, and their excess', () => {
  assert.equal(cleanName(' Mina\u202Egpj.exe\u200b \n x '), 'Minagpj.exe x');
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
  readRoom(marks);
  assert.equal(worked.length, 3);
  for (const text of worked) assert.doesNotMatch(text, /\p{M}{31}/u);
  for (const text of worked) assert.ok(text.length <= 12_000, String(text.length));
  assert.ok(worked[2].length <= 1024);
});

const cases = new URL('../../signaling/proto/tests/names.json', import.meta.url);

/** @param {string | {before?: string, repeat: [string, number]}} name as names.json has it */
const written = (name) => (typeof name === 'string' ? name : (name.before ?? '') + name.repeat[0].repeat(name.repeat[1]));

test('what names are is one rule of the server and the page', () => {
  const { rooms, people } = JSON.parse(readFileSync(cases, 'utf8'));
  assert.ok(rooms.length > 50 && people.length > 20);
  for (const { name, canonical, refused } of rooms) {
    const text = written(name);
    const { room, problem } = readRoom(text);
    assert.equal(room, canonical, JSON.stringify(name));
    assert.equal(problem, refused && (refused === 'too_long' ? 'long' : 'invisible'), JSON.stringify(name));
  }
  for (const { name, canonical } of people) assert.equal(cleanName(written(name)), canonical, JSON.stringify(name));
});

test('a link leads where the programs that take one go', () => {
  const { links } = JSON.parse(readFileSync(cases, 'utf8'));
  assert.ok(links.length > 30);
  for (const { text, room, refused } of links) {
    const read = readInvitation(text, URL.canParse(text) ? new URL(text).host : (/^[\w.-]+(?=[:/])(:\d+)?/.exec(text)?.[0] ?? 'call.example'));
    if (refused) assert.ok('problem' in read, text);
    else assert.equal('path' in read && read.path.split(/[?#]/)[0], roomPath(room), text);
  }
});

// "…/tea 2" led to the room "tea", in which the others were not.
test('a number behind the one link of an input belongs to the name', () => {
  const made = 'abcde-fghjk-mnpqr-stuvw';
  assert.deepEqual(readInvitation('https://call.example/room/tea 2', 'call.example'), { path: '/room/tea%202' });
  assert.deepEqual(readInvitation(`call.example/room/${made} 2`, 'call.example'), { path: `/room/${made}%202` });
  for (const text of [`https://call.example/room/${made} at 9`, `https://call.example/room/${made}, 2`, `See https://call.example/room/${made} 2`]) {
    assert.deepEqual(readInvitation(text, 'call.example'), { path: `/room/${made}` }, text);
  }
});
