// Single keys that do something, and holding the space bar to talk. Both can be turned off (WCAG 2.2, 2.1.4).

/** @typedef {'microphone' | 'camera' | 'screen' | 'hand' | 'chat' | 'people' | 'layout' | 'settings'} Action */

/** By where keys are on the keyboard when they are not Latin letters, as with Hangul. @type {Record<string, Action>} */
export const KEYS = { m: 'microphone', v: 'camera', s: 'screen', h: 'hand', c: 'chat', p: 'people', l: 'layout', k: 'settings' };

/**
 * What a pressed key means, if anything.
 * @param {Pick<KeyboardEvent, 'key' | 'code' | 'ctrlKey' | 'metaKey' | 'altKey' | 'repeat'>} event
 * @param {boolean} typing whether the key goes into a field
 * @returns {Action | null}
 */
export function actionOf({ key, code, ctrlKey, metaKey, altKey, repeat }, typing) {
  if (typing || repeat || ctrlKey || metaKey || altKey) return null;
  const letter = /^[a-z]$/i.test(key) ? key : /^Key[A-Z]$/.test(code) ? code[3] : '';
  return KEYS[letter.toLowerCase()] ?? null;
}

/**
 * @param {object} options
 * @param {() => {shortcuts: boolean, pushToTalk: boolean}} options.settings as they are now
 * @param {Record<Action, () => void>} options.actions
 * @param {(talking: boolean) => void} options.onTalk the space bar is held, or no longer
 * @returns {() => void} ends it
 */
export function listenForShortcuts({ settings, actions, onTalk }) {
  let talking = false;
  const stop = () => {
    if (talking) onTalk(false);
    talking = false;
  };
  const pressed = (/** @type {KeyboardEvent} */ event) => {
    const typing = goesIntoField(event.target) || event.isComposing;
    if (event.code === 'Space' && settings().pushToTalk && !typing) {
      // Enter still presses buttons.
      event.preventDefault();
      if (!talking) onTalk(true);
      talking = true;
      return;
    }
    const action = settings().shortcuts ? actionOf(event, typing) : null;
    if (!action) return;
    event.preventDefault();
    actions[action]();
  };
  const released = (/** @type {KeyboardEvent} */ event) => {
    if (event.code !== 'Space' || !talking) return;
    event.preventDefault();
    stop();
  };
  addEventListener('keydown', pressed);
  addEventListener('keyup', released);
  // Where the key is released in another window, nobody tells.
  addEventListener('blur', stop);
  return () => {
    removeEventListener('keydown', pressed);
    removeEventListener('keyup', released);
    removeEventListener('blur', stop);
  };
}

/** @param {EventTarget | null} target */
function goesIntoField(target) {
  return target instanceof Element && target.closest('input, textarea, select, [contenteditable]') !== null;
}
