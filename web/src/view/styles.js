// Style sheets of screens that are not the first one.

/** @type {Map<string, Promise<void>>} */
const added = new Map();

/**
 * Adds sheets of `style/` behind those that are there. A sheet that could not be had can be asked for again.
 * @param {...string} names
 */
export async function addStyles(...names) {
  await Promise.all(
    names.map((name) => {
      const known = added.get(name) ?? addSheet(name);
      added.set(name, known);
      known.catch(() => added.delete(name));
      return known;
    }),
  );
}

/**
 * @param {string} name
 * @returns {Promise<void>}
 */
function addSheet(name) {
  return new Promise((resolve, reject) => {
    const link = document.createElement('link');
    link.rel = 'stylesheet';
    link.href = new URL(`../style/${name}.css`, import.meta.url).href;
    link.onload = () => resolve();
    link.onerror = () => {
      link.remove();
      reject(new Error(`no style sheet ${name}`));
    };
    document.head.append(link);
  });
}
