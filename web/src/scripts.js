// The only scripts that are loaded by their address at run time: workers. The page's policy for Trusted Types lets nothing
// else become the address of a script.

/** Beside this file, so of the same version. */
export const HASH_WORKER = new URL('./call/files/hash-worker.js', import.meta.url).href;
/** It rules over what is below its address, which never changes. */
export const SERVICE_WORKER = '/service-worker.js';

const SCRIPTS = new Set([HASH_WORKER, SERVICE_WORKER]);

/** @type {{createScriptURL: (address: string) => string} | undefined} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('callbox', { createScriptURL: checked });

/** @param {string} address */
function checked(address) {
  if (!SCRIPTS.has(address)) throw new TypeError(`${address} is no script of this page`);
  return address;
}

/**
 * The address of a worker's script, as browsers take it.
 * @param {string} address
 */
export function scriptUrl(address) {
  return policy ? policy.createScriptURL(address) : checked(address);
}
