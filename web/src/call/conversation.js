// What is said in writing during a call: over data channels, and through the server where those are not open.

import { Allowance } from './allowance.js';
import { chatMessages, chatText } from './chat.js';

/** @import { Outcome } from '../protocol/signaling.js' */
/** @import { Clock } from '../protocol/types.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { Participant } from './participant.js' */
/** @import { People } from './people.js' */

/**
 * @typedef {object} ConversationOptions
 * @property {People} people
 * @property {(text: string, to: string) => number | null} sendThroughServer its number, or null if it was not taken
 * @property {() => string} newId
 * @property {Clock} clock
 */

/** The page keeps the last messages. Each has at most 4,000 characters. */
const KEPT = 500;
/** More than programs write that people read, and than what waited for the reader; a flood must not stop the page. */
const FROM_SERVER = { burst: KEPT, perSecond: 20 };
/** With more senders than a room has, those who have left are forgotten. */
const MOST_SENDERS = 256;

export class Conversation {
  #options;
  /** The last ones. @type {ChatMessage[]} */ messages = [];
  /** How many there have been. */ count = 0;
  /** What each sender may say through the server. @type {Map<string, Allowance>} */ #allowances = new Map();
  /** What went through the server and may still be lost, by its number. @type {Map<number, ChatMessage>} */ #underway = new Map();

  /** @param {ConversationOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Says it to everybody.
   * @param {string} input
   * @returns {number} in how many messages
   */
  send(input) {
    const messages = chatMessages(input);
    for (const text of messages) this.#say(text);
    return messages.length;
  }

  /** @param {string} text */
  #say(text) {
    const { people, sendThroughServer, newId, clock } = this.#options;
    const id = newId();
    const message = { id, from: '', name: '', text, at: clock.now(), uncertain: false };
    // Who has not told about streams is another program, which may read nothing on our channel.
    const isNear = (/** @type {Participant} */ { introduced, active }) => introduced && active.sendChat({ type: 'chat', id, text });
    const far = people.list.filter((participant) => !isNear(participant)).map((participant) => participant.id);
    for (const to of [...far, ...people.audience.map(({ peer }) => peer)]) {
      const sent = sendThroughServer(text, to);
      if (sent === null) message.uncertain = true;
      else this.#underway.set(sent, message);
    }
    this.#keep(message);
  }

  /** @param {ChatMessage} message */
  #keep(message) {
    this.count += 1;
    this.messages.push(message);
    if (this.messages.length > KEPT) this.messages.shift();
  }

  /**
   * Somebody said something through the server, which passes on more than a page can show.
   * @param {string} from
   * @param {string} id
   * @param {unknown} input
   * @returns {ChatMessage | null} null when there is nothing to show of it
   */
  takeFromServer(from, id, input) {
    const { people, clock } = this.#options;
    if (people.nameOf(from) === undefined) return null;
    let allowance = this.#allowances.get(from);
    if (!allowance) {
      for (const sender of this.#allowances.size >= MOST_SENDERS ? [...this.#allowances.keys()] : []) {
        if (people.nameOf(sender) === undefined) this.#allowances.delete(sender);
      }
      allowance = new Allowance(FROM_SERVER, clock);
      this.#allowances.set(from, allowance);
    }
    return allowance.take() ? this.take(from, id, input) : null;
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
    this.#keep(message);
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
