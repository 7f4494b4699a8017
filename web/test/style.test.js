import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

const styles = new URL('../src/style/', import.meta.url);
const sheets = readdirSync(styles).filter((name) => name.endsWith('.css'));

/** @param {string} path */
const read = (path) => readFileSync(new URL(path, styles), 'utf8').replaceAll(/\/\*[^]*?\*\//g, '');

/** What CSS knows by name, but for `transparent` and `currentcolor`, which are no colours of their own. */
const NAMES = `aliceblue antiquewhite aqua aquamarine azure beige bisque black blanchedalmond blue blueviolet brown burlywood cadetblue
chartreuse chocolate coral cornflowerblue cornsilk crimson cyan darkblue darkcyan darkgoldenrod darkgray darkgreen darkgrey darkkhaki
darkmagenta darkolivegreen darkorange darkorchid darkred darksalmon darkseagreen darkslateblue darkslategray darkslategrey darkturquoise
darkviolet deeppink deepskyblue dimgray dimgrey dodgerblue firebrick floralwhite forestgreen fuchsia gainsboro ghostwhite gold goldenrod
gray green greenyellow grey honeydew hotpink indianred indigo ivory khaki lavender lavenderblush lawngreen lemonchiffon lightblue
lightcoral lightcyan lightgoldenrodyellow lightgray lightgreen lightgrey lightpink lightsalmon lightseagreen lightskyblue lightslategray
lightslategrey lightsteelblue lightyellow lime limegreen linen magenta maroon mediumaquamarine mediumblue mediumorchid mediumpurple
mediumseagreen mediumslateblue mediumspringgreen mediumturquoise mediumvioletred midnightblue mintcream mistyrose moccasin navajowhite
navy oldlace olive olivedrab orange orangered orchid palegoldenrod palegreen paleturquoise palevioletred papayawhip peachpuff peru pink
plum powderblue purple rebeccapurple red rosybrown royalblue saddlebrown salmon sandybrown seagreen seashell sienna silver skyblue
slateblue slategray slategrey snow springgreen steelblue tan teal thistle tomato turquoise violet wheat white whitesmoke yellow
yellowgreen accentcolor accentcolortext activetext buttonborder buttonface buttontext canvas canvastext field fieldtext graytext
highlight highlighttext linktext mark marktext selecteditem selecteditemtext visitedtext`.split(/\s+/);
const LITERAL = new RegExp(
  `#[0-9a-f]{3,8}\\b|\\b(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color|color-mix|device-cmyk|light-dark)\\(|(?<![\\w.#-])(?:${NAMES.join('|')})(?![\\w(-])`,
  'gi',
);

/**
 * Colours that stand in the values of a sheet. What selects an element may be called like one.
 * @param {string} css
 */
function literals(css) {
  const values = [...css.matchAll(/(?<=[{;]\s*)([\w-]+)\s*:([^;{}]*)(?=[;}])/g)];
  return values.flatMap(([, property, value]) => [...value.matchAll(LITERAL)].map(([literal]) => `${property}: ${literal}`));
}

test('a colour is found in whatever way it is written', () => {
  for (const colour of ['#fff', '#0D5C50', '#0d5c5080', 'rgb(0 0 0 / 8%)', 'rgba(0, 0, 0, 1)', 'HSL(0 0% 0%)', 'oklch(1 0 0)', 'color-mix(in srgb, var(--ink), var(--paper))', 'white', 'Canvas']) {
    assert.equal(literals(`a { margin: 0; border: 1px solid ${colour}; }`).length, 1, colour);
    assert.equal(literals(`@media print { a { --own: ${colour} } }`).length, 1, colour);
  }
  for (const fine of ['a { color: var(--brand); }', '.red, #fff a:hover { white-space: nowrap; fill: currentcolor; background: transparent; }', 'a { color: var(--on-white); }']) {
    assert.deepEqual(literals(fine), [], fine);
  }
});

test('every colour is a token', () => {
  assert.ok(sheets.length > 5);
  for (const sheet of sheets.filter((name) => name !== 'tokens.css')) assert.deepEqual(literals(read(sheet)), [], sheet);
});

test('every token that is used exists, and every one that exists is used', () => {
  // Set by a script, while it runs.
  const live = ['--level'];
  const all = sheets.map(read).join('\n');
  const defined = new Set([...read('tokens.css').matchAll(/(--[\w-]+)\s*:/g)].map(([, name]) => name));
  const used = new Set([...all.matchAll(/var\((--[\w-]+)/g)].map(([, name]) => name));
  const here = sheets.filter((name) => name !== 'tokens.css').map(read).join('\n');
  const local = [...here.matchAll(/(--[\w-]+)\s*:/g)].map(([, name]) => name);
  assert.deepEqual([...used].filter((name) => !defined.has(name) && !live.includes(name) && !local.includes(name)), []);
  assert.deepEqual([...defined].filter((name) => !used.has(name)), []);
});

test('the browser’s own frame has the colours of the page', () => {
  const [light, dark] = [...read('tokens.css').matchAll(/--paper:\s*(\S+);/g)].map(([, colour]) => colour);
  const page = read('../../index.html');
  assert.match(page, new RegExp(`name="theme-color" content="${light}" media="\\(prefers-color-scheme: light\\)"`));
  assert.match(page, new RegExp(`name="theme-color" content="${dark}" media="\\(prefers-color-scheme: dark\\)"`));
});

test('what is shown before the style sheets are there has their colours', () => {
  const [light, dark] = read('tokens.css').split('@media (prefers-color-scheme: dark)');
  const token = (/** @type {string} */ css, /** @type {string} */ name) => new RegExp(`--${name}:\\s*([^;]+);`).exec(css)?.[1];
  const page = readFileSync(new URL('../../index.html', styles), 'utf8');
  const themes = [...page.matchAll(/name="theme-color" content="([^"]+)" media="\(prefers-color-scheme: (\w+)\)"/g)];
  assert.deepEqual(themes.map(([, colour, theme]) => [theme, colour]), [['light', token(light, 'paper')], ['dark', token(dark, 'paper')]]);
  const manifest = JSON.parse(readFileSync(new URL('../../manifest.webmanifest', styles), 'utf8'));
  assert.deepEqual([manifest.background_color, manifest.theme_color], [token(light, 'paper'), token(light, 'brand')]);
});
