import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linkParts } from '../src/call/chat.js';
import { seeded } from '../testing/random.js';

/** @param {string} text */
const links = (text) => linkParts(text).flatMap(({ href }) => href ?? []);

test('addresses of web pages become links, the words around them do not', () => {
  assert.deepEqual(linkParts('see https://example.org/a?b=c#d, please'), [
    { text: 'see ', href: null },
    { text: 'https://example.org/a?b=c#d', href: 'https://example.org/a?b=c#d' },
    { text: ', please', href: null },
  ]);
  assert.deepEqual(links('(http://example.org/wiki/A_(b)) 그리고 https://example.org/한글.'), [
    'http://example.org/wiki/A_(b)', 'https://example.org/%ED%95%9C%EA%B8%80',
  ]);
});

test('nothing else does', () => {
  for (const text of [
    'javascript:alert(1)', 'data:text/html,<script>alert(1)</script>', 'file:///etc/passwd', 'https://', 'http:// example.org',
    'https://bank.example@elsewhere.example/', 'https://user:secret@example.org/', 'xhttps://', 'plain words',
  ]) assert.deepEqual(links(text), [], text);
});

test('markup around an address stays outside of it', () => {
  assert.deepEqual(links('"https://example.org/"><img src=x onerror=alert(1)>'), ['https://example.org/']);
});

test('no text is lost or changed, whatever it is', () => {
  const random = seeded(5);
  const pieces = ['https://', 'http://a.b', '/', ' ', '(', ')', '.', '한', '<', '"', '@', 'javascript:', ':80', '\n', 'x'];
  for (let round = 0; round < 2000; round += 1) {
    const text = Array.from({ length: 12 }, () => pieces[Math.floor(random() * pieces.length)]).join('');
    const parts = linkParts(text);
    assert.equal(parts.map((part) => part.text).join(''), text);
    for (const { href } of parts) assert.ok(href === null || /^https?:\/\/[^@]+$/.test(href.split('/').slice(0, 3).join('/')), text);
  }
});

// 4,000 closing brackets once took 60 ms, and each further one the square of it: this many would never end.
test('closing brackets behind an address are left out however many they are', () => {
  const brackets = ')'.repeat(1_000_000);
  assert.deepEqual(linkParts(`http://a/${brackets}`), [
    { text: 'http://a/', href: 'http://a/' },
    { text: brackets, href: null },
  ]);
  assert.deepEqual(links('http://a/(b)). http://a/((b)!)! http://a/)(.'), ['http://a/(b)', 'http://a/((b)!)', 'http://a/)(']);
});
