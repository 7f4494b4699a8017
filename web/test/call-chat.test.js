import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHAT_CHARACTERS, chatMessages, chatText } from '../src/call/chat.js';
import { info, setUp, streams } from '../testing/call.js';

test('chat goes over the data channel, and through the server where that is closed', () => {
  const { call, sent, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  for (const from of ['a', 'b']) receive(streams(from));
  connections[0].become('connected');
  call.sendChat(' hello ');
  call.sendChat('   ');
  assert.deepEqual(connections[0].channels.chat.sent.map(JSON.parse), [{ type: 'chat', id: '2', text: 'hello', n: 1, of: '1' }]);
  assert.deepEqual(sent.filter(({ type }) => type === 'chat'), [{ type: 'chat', text: 'hello', to: 'b' }]);
  assert.deepEqual(call.chat.map(({ from, text }) => [from, text]), [['', 'hello']]);
});

test('what comes over a data channel is shown only if it is a chat message', () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a', 'Mina'));
  const { onmessage } = connections[0].channels.chat;
  for (const data of ['{', '7', '{"type":"other"}', '{"type":"chat"}', '{"type":"chat","text":{}}', new ArrayBuffer(3)]) onmessage({ data });
  onmessage({ data: JSON.stringify({ type: 'chat', id: 'x', text: '<img src=x onerror=alert(1)>' }) });
  receive({ type: 'chat', seq: 1, from: 'nobody', id: 1, text: 'boo' });
  assert.deepEqual(call.chat.map(({ name, text }) => [name, text]), [['Mina', '<img src=x onerror=alert(1)>']]);
});

test('what was said while the session ended may not have arrived, and says so', () => {
  const { call, settle, welcome } = setUp();
  welcome('me', info('a'));
  call.sendChat('one');
  call.sendChat('two');
  // Numbers 2 and 3: the first message told which stream is the screen.
  settle({ id: 2, message: { type: 'chat', text: 'one', to: 'a' }, delivered: true });
  settle({ id: 3, message: { type: 'chat', text: 'two', to: 'a' }, lost: true });
  assert.deepEqual(call.chat.map(({ text, uncertain }) => [text, uncertain]), [['one', false], ['two', true]]);
});

test('the page keeps the last messages, counts all of them, and takes no flood', () => {
  const { call, clock, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  for (let id = 1; id <= 1000; id += 1) {
    receive({ type: 'chat', seq: id, from: 'a', id, text: `a ${id}` });
    if (id % 50 === 0) clock.advance(20_000);
  }
  assert.equal(call.chatCount, 1000);
  assert.equal(call.chat.length, 500);
  assert.equal(call.chat.at(-1)?.text, 'a 1000');
  for (let id = 1; id <= 1000; id += 1) receive({ type: 'chat', seq: 1000 + id, from: 'b', id, text: 'flood' });
  assert.equal(call.chatCount, 1500);
  const { onmessage } = connections[0].channels.chat;
  onmessage({ data: JSON.stringify({ type: 'chat', id: 'x'.repeat(70_000), text: 'long' }) });
  assert.equal(call.chatCount, 1500);
});

// A program that offers a data channel of its own has none with our number: what was written there was lost, and shown as said.
test('who does not speak as the page does is written to through the server', () => {
  const { call, sent, connections, receive, welcome } = setUp();
  welcome('me', info('page'), info('program'));
  for (const connection of connections) connection.become('connected');
  receive(streams('page'));
  call.sendChat('hello');
  assert.deepEqual(connections.map(({ channels }) => channels.chat.sent.length), [1, 0]);
  assert.deepEqual(sent.filter(({ type }) => type === 'chat').map(({ to }) => to), ['program']);
});

// 9,008 characters were cut to 4,000, and not a word about it.
test('a long text is sent whole, in several messages that end between words and characters', () => {
  const text = Array.from({ length: 901 }, (_, line) => `line ${String(line).padStart(4)}${line % 9 ? ' ' : '\n'}`).join('').trim();
  assert.ok(text.length > 9000);
  const messages = chatMessages(text);
  assert.deepEqual([messages.length, messages.join('')], [3, text]);
  for (const message of messages.slice(0, -1)) assert.match(message, /[\n ]$/);
  for (const sign of ['가', '🎉', '👩‍👩‍👧']) {
    const dense = `${'x'.repeat(CHAT_CHARACTERS - 1)}${sign.repeat(900)}`;
    const parts = chatMessages(dense);
    assert.equal(parts.join(''), dense);
    for (const part of parts) assert.ok(part.length <= CHAT_CHARACTERS && !/\p{Cs}/u.test(part) && !/^\u200d|\u200d$/.test(part), sign);
  }
  // Halves of characters arrived of what a reader counts as one and is longer than a message.
  for (const endless of [`x${'🏻'.repeat(2500)}`, '👩\u200d'.repeat(1500)]) {
    const parts = chatMessages(endless);
    assert.equal(parts.join(''), endless);
    for (const part of parts) assert.ok(part.length <= CHAT_CHARACTERS && !/\p{Cs}/u.test(part));
  }
  const { call, sent, welcome } = setUp();
  welcome('me', info('a'));
  assert.equal(call.sendChat(text), 3);
  assert.equal(call.sendChat('  '), 0);
  assert.deepEqual(sent.flatMap(({ type, text: said }) => (type === 'chat' ? said : [])), messages);
  assert.deepEqual(call.chat.map(({ text: shown }) => shown), messages);
  // What another program sends is cut, and that is to be seen.
  assert.equal(chatText('x'.repeat(CHAT_CHARACTERS)).length, CHAT_CHARACTERS);
  assert.match(chatText('x'.repeat(CHAT_CHARACTERS + 1)), /^x{3999}…$/);
});

// "The server ended the call: bad_message" was what half a character led to.
test('no half of a character is sent', () => {
  const { call, sent, welcome } = setUp();
  welcome('me', info('a'));
  for (const text of [`${'x'.repeat(3999)}🎉`, 'a\ud83d', '\ude00b']) call.sendChat(text);
  const said = sent.flatMap(({ type, text }) => (type === 'chat' ? text : []));
  assert.deepEqual(said, ['x'.repeat(3999), '🎉', 'a\ufffd', '\ufffdb']);
});

/** A page of this version. @param {string} from */
const page = (from, link = 0) => ({ ...streams(from), data: { screen: `screen of ${from}`, link } });
/** @param {number} n */
const line = (n, text = String(n), of = 'page') => ({ id: `line ${n}`, text, n, of });
/** @param {number} n */
const event = (n, text = String(n)) => ({ type: 'event', seq: 0, from: 'a', id: 100 + n, name: 'chat', data: line(n, text) });

// In every interruption later lines went through the server and overtook those that waited in the data channel: 7, 8, 4, 5, 6, 9.
test('lines of one sender are shown in their order and once, by whichever way they come', () => {
  const { call, clock, connections, notices, receive, welcome } = setUp();
  welcome('me', info('a'));
  receive(page('a'));
  connections[0].become('connected');
  const { chat } = connections[0].channels;
  const near = (/** @type {number} */ n) => chat.onmessage({ data: JSON.stringify({ type: 'chat', ...line(n) }) });
  const shown = () => call.chat.map(({ text }) => text).join(' ');
  near(3);
  for (const n of [7, 8]) receive(event(n));
  assert.equal(shown(), '3');
  for (const n of [4, 5, 6, 9, 7]) near(n);
  assert.equal(shown(), '3 4 5 6 7 8 9');
  assert.deepEqual(chat.sent.map((/** @type {string} */ text) => JSON.parse(text)).flatMap((/** @type {any} */ { type, n }) => (type === 'heard' ? n : [])), [3, 4, 5, 6, 9, 7]);
  // What does not come is not waited for, and comes when it comes.
  receive(event(12));
  clock.advance(999);
  assert.equal(shown(), '3 4 5 6 7 8 9');
  clock.advance(1);
  near(11);
  near(13);
  assert.equal(shown(), '3 4 5 6 7 8 9 12 11 13');
  assert.equal(notices.filter(({ kind }) => kind === 'chat').length, 10);
  // Another page of theirs counts anew, and one of an earlier version does not count.
  receive({ ...event(1), data: line(1, 'anew', 'other page') });
  receive({ type: 'chat', seq: 0, from: 'a', id: 300, text: 'uncounted' });
  assert.match(shown(), /13 anew uncounted$/);
  receive({ ...event(1), data: 'nonsense' });
  receive({ ...event(1), data: null });
});

test('what went into a channel that carries no more goes through the server, too', () => {
  const { call, sent, connections, receive, welcome } = setUp();
  welcome('me', info('a'), info('old'));
  receive(page('a'));
  receive(streams('old'));
  for (const connection of connections) connection.become('connected');
  for (const text of ['one', 'two', 'three']) call.sendChat(text);
  const [toA, toOld] = connections.map(({ channels }) => channels.chat);
  assert.deepEqual([toA, toOld].map(({ sent: said }) => said.map((/** @type {string} */ text) => JSON.parse(text).n)), [[1, 2, 3], [1, 2, 3]]);
  toA.onmessage({ data: '{"type":"heard","n":1}' });
  const before = sent.length;
  for (const connection of connections) connection.become('disconnected');
  const late = sent.slice(before);
  assert.deepEqual(late.map(({ type, name, to, data }) => [type, name, to, data.n, data.text]), [['event', 'chat', 'a', 2, 'two'], ['event', 'chat', 'a', 3, 'three']]);
  call.sendChat('four');
  assert.deepEqual(sent.slice(-2).map(({ type, to, data, text }) => [type, to, data?.n ?? text]), [['event', 'a', 4], ['chat', 'old', 'four']]);
});

test('who leaves with lines on their way may not have got them', () => {
  const { call, connections, receive, welcome } = setUp();
  welcome('me', info('a'));
  receive(page('a'));
  connections[0].become('connected');
  call.sendChat('one');
  call.sendChat('two');
  connections[0].channels.chat.onmessage({ data: '{"type":"heard","n":1}' });
  receive({ type: 'peer_left', seq: 1, peer: 'a', reason: 'bye' });
  assert.deepEqual(call.chat.map(({ uncertain }) => uncertain), [false, true]);
});
