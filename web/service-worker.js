// Says that there is no network when the page is opened without one. Everything else comes from the server, always: a
// cache in between could serve half of an old page.

const CACHE = 'offline-1';
const OFFLINE = ['/offline.html', '/src/style/tokens.css', '/src/style/base.css', '/src/icon.svg'];

addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(OFFLINE)));
});

addEventListener('activate', (event) => {
  const old = caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name))));
  event.waitUntil(old);
});

addEventListener('fetch', (event) => {
  const { request } = event;
  const kept = request.mode === 'navigate' ? '/offline.html' : new URL(request.url).pathname;
  if (!OFFLINE.includes(kept)) return;
  event.respondWith(fetch(request).catch(async () => (await caches.match(kept)) ?? Response.error()));
});
