// The only scripts that are loaded by their address at run time: workers. The page's policy for Trusted Types lets nothing
// else become the address of a script.

const SCRIPTS = new Set(['/src/call/files/hash-worker.js', '/service-worker.js']);

/** @type {{createScriptURL: (path: string) => string} | undefined} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('callbox', { createScriptURL: checked });

/** @param {string} path */
function checked(path) {
  if (!SCRIPTS.has(path)) throw new TypeError(`${path} is no script of this page`);
  return path;
}

/**
 * The address of a worker's script, as browsers take it.
 * @param {string} path
 */
export function scriptUrl(path) {
  return policy ? policy.createScriptURL(path) : checked(path);
}
