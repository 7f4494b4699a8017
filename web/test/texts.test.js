import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { enCheck } from '../src/texts/en-check.js';
import { en } from '../src/texts/en.js';
import { koCheck } from '../src/texts/ko-check.js';
import { ko } from '../src/texts/ko.js';
import { chooseLanguage, t, useCheckTexts, useLanguage } from '../src/texts/texts.js';

const catalogs = { en: { ...en, ...enCheck }, ko: { ...ko, ...koCheck } };

const root = new URL('../src/', import.meta.url);

/** Everything the page says is said in these files. */
const paths = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.js') && !path.startsWith('texts'));
const read = (/** @type {string[]} */ chosen) => chosen.map((path) => readFileSync(new URL(path, root), 'utf8')).join('\n');
const sources = read(paths);

const keys = Object.keys(catalogs.en);

test('every language has every text and no other', () => {
  for (const [language, catalog] of Object.entries(catalogs)) {
    assert.deepEqual(Object.keys(catalog).sort(), [...keys].sort(), language);
    for (const [key, text] of Object.entries(catalog)) assert.notEqual(text.trim(), '', `${language} ${key}`);
  }
});

test('every text is used', () => {
  const unused = keys.filter((key) => !sources.includes(`'${key}'`));
  assert.deepEqual(unused, []);
});

test('what is loaded for the check alone is said there alone', () => {
  const others = read(paths.filter((path) => !/(^|\/)check|^main\.js$/.test(path)));
  assert.deepEqual(Object.keys(enCheck).filter((key) => others.includes(`'${key}'`)), []);
});

test('every used text exists', () => {
  const used = [...sources.matchAll(/\bt\('([^']+)'/g)].map(([, key]) => key);
  assert.ok(used.length > 20);
  assert.deepEqual(used.filter((key) => !keys.includes(key)), []);
});

test('translations keep the placeholders', () => {
  const placeholders = (/** @type {string} */ text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of /** @type {(keyof typeof catalogs.en)[]} */ (keys)) {
    assert.deepEqual(placeholders(catalogs.ko[key]), placeholders(catalogs.en[key]), key);
  }
});

test('placeholders are filled with text as it is', async () => {
  await useLanguage('en');
  assert.equal(t('notice.joined', { name: '$& {name} <b>' }), '$& {name} <b> has joined');
  await useLanguage('ko');
  assert.equal(t('notice.joined', { name: '민아' }), '민아 님이 들어왔습니다');
});

test('numbers are written as the language writes them, and text that looks like one is not touched', async () => {
  for (const language of /** @type {const} */ (['en', 'ko'])) {
    await useLanguage(language);
    assert.equal(t('connection.ms', { ms: 12_345 }), '12,345 ms');
    assert.equal(t('connection.percent', { percent: 0.1 + 0.2 }), '0.3 %');
    assert.match(t('connection.lines', { lines: 1080 }), /1080/);
    assert.match(t('preview.room', { room: '1234567.890' }), /1234567\.890/);
  }
});

test('what only the check says is loaded when it is wanted, and then in every language', async () => {
  await useLanguage('en');
  assert.equal(t('check.title'), 'check.title');
  await useCheckTexts();
  assert.equal(t('check.title'), en['check.link']);
  await useLanguage('ko');
  assert.equal(t('check.title'), koCheck['check.title']);
});

test('the first language that we have is chosen', () => {
  assert.equal(chooseLanguage([null, 'de-AT', 'ko-KR', 'en']), 'ko');
  assert.equal(chooseLanguage(['en-GB', 'ko']), 'en');
  assert.equal(chooseLanguage(['fr']), 'en');
});
