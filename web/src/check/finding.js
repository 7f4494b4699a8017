// What a check found, as data: the view shows it, the report keeps it. Pure.

/** @import { TextKey } from '../texts/texts.js' */

/**
 * A text with what goes into it; a value may itself be a text.
 * @typedef {{key: TextKey, values?: Record<string, string | number | {key: TextKey}>}} Message
 *
 * `pending`: not done yet, or waiting for a click. `not_applicable`: cannot be told here, and need not be.
 * @typedef {'pending' | 'ok' | 'failed' | 'not_applicable'} FindingState
 *
 * @typedef {Record<string, string | number | boolean | null | string[]>} Facts
 *
 * @typedef {object} Finding
 * @property {FindingState} state
 * @property {Message | null} text what happened
 * @property {Message | null} advice what to do about it
 * @property {Facts} facts for the report; never a credential
 *
 * @typedef {'device' | 'server' | 'relay' | 'media'} Group
 *
 * A line of the page. Ids of ICE servers are `ice:` and the URL.
 * @typedef {{id: string, group: Group, title: Message, finding: Finding}} Row
 */

/** @type {Finding} */
export const PENDING = Object.freeze({ state: 'pending', text: null, advice: null, facts: Object.freeze({}) });

/**
 * @param {Message} text
 * @param {Facts} [facts]
 * @param {Message | null} [advice]
 * @returns {Finding}
 */
export function ok(text, facts = {}, advice = null) {
  return { state: 'ok', text, advice, facts };
}

/**
 * @param {Message} text
 * @param {Message | null} advice
 * @param {Facts} [facts]
 * @returns {Finding}
 */
export function failed(text, advice, facts = {}) {
  return { state: 'failed', text, advice, facts };
}

/**
 * @param {Message} text
 * @param {Facts} [facts]
 * @returns {Finding}
 */
export function notApplicable(text, facts = {}) {
  return { state: 'not_applicable', text, advice: null, facts };
}
