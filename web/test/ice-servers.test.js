import assert from 'node:assert/strict';
import { test } from 'node:test';
import { browserIceServers } from '../src/call/ice_servers.js';

test('what no browser understands costs nobody the others', () => {
  const password = { username: 'u', credential: 'c' };
  const servers = [
    { urls: ['nonsense:', 'stun:a.test', 'turns:[::1]:5349?transport=tcp', 'turn:b.test:3478?transport=sctp'], ...password, expires_at: 1 },
    { urls: 7 },
    { urls: 'stun:c.test:19302' },
    { urls: ['turn:without.password'] },
  ];
  assert.deepEqual(browserIceServers(/** @type {any} */ (servers)), [
    { urls: ['stun:a.test', 'turns:[::1]:5349?transport=tcp'], ...password },
    { urls: ['stun:c.test:19302'] },
  ]);
});
