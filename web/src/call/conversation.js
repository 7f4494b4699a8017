// What is said in writing during a call: over data channels, and through the server where those are not open.

import { chatText } from './chat.js';

/** @import { Outcome } from '../protocol/signaling.js' */
/** @import { Clock } from '../protocol/types.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { People } from './people.js' */

/**
 * @typedef {object} ConversationOptions
 * @property {People} people
 * @property {(text: string, to: string) => number | null} sendThroughServer its number, or null if it was not taken
 * @property {() => string} newId
 * @property {Clock} clock
 */

export class Conversation {
  #options;
  /** @type {ChatMessage[]} */ messages = [];
  /** What went through the server and may still be lost, by its number. @type {Map<number, ChatMessage>} */ #underway = new Map();

  /** @param {ConversationOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Says it to everybody.
   * @param {string} input
   */
  send(input) {
    const { people, sendThroughServer, newId, clock } = this.#options;
    const text = chatText(input);
    if (!text) return;
    const id = newId();
    const message = { id, from: '', name: '', text, at: clock.now(), uncertain: false };
    const far = people.list.filter(({ active }) => !active.sendChat({ type: 'chat', id, text })).map((participant) => participant.id);
    for (const to of [...far, ...people.audience.map(({ peer }) => peer)]) {
      const sent = sendThroughServer(text, to);
      if (sent === null) message.uncertain = true;
      else this.#underway.set(sent, message);
    }
    this.messages.push(message);
  }

  /**
   * Somebody said something.
   * @param {string} from
   * @param {string} id
   * @param {unknown} input
   * @returns {ChatMessage | null} null when there is nothing to show of it
   */
  take(from, id, input) {
    const text = chatText(input);
    const name = this.#options.people.nameOf(from);
    if (!text || name === undefined) return null;
    const message = { id, from, name, text, at: this.#options.clock.now(), uncertain: false };
    this.messages.push(message);
    return message;
  }

  /**
   * What became of something that went through the server.
   * @param {Outcome} outcome
   */
  settled(outcome) {
    const message = this.#underway.get(outcome.id);
    this.#underway.delete(outcome.id);
    if (message && !('delivered' in outcome)) message.uncertain = true;
  }
}
