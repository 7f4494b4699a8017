import assert from 'node:assert/strict';
import { test } from 'node:test';
import { info, setUp } from '../testing/call.js';

test('chat goes over the data channel, and through the server where that is closed', () => {
  const { call, sent, connections, welcome } = setUp();
  welcome('me', info('a'), info('b'));
  connections[0].become('connected');
  call.sendChat(' hello ');
  call.sendChat('   ');
  assert.deepEqual(connections[0].channels.chat.sent.map(JSON.parse), [{ type: 'chat', id: '1', text: 'hello' }]);
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
