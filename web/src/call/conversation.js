// What is said in writing during a call: over data channels, and through the server where those are not open.

import { Allowance } from './allowance.js';
import { chatMessages, chatText } from './chat.js';
import { Order } from './order.js';

/** @import { Outcome } from '../protocol/signaling.js' */
/** @import { Clock, OutMessage } from '../protocol/types.js' */
/** @import { ChatMessage } from './chat.js' */
/** @import { Participant, Unheard } from './participant.js' */
/** @import { People } from './people.js' */

/**
 * @typedef {object} ConversationOptions
 * @property {People} people
 * @property {(message: OutMessage) => number | null} sendThroughServer its number, or null if it was not taken
 * @property {(message: ChatMessage) => void} onMessage somebody has said something
 * @property {() => string} newId
 * @property {Clock} clock
 */

/** The page keeps the last messages. Each has at most 4,000 characters. */
const KEPT = 500;
/** More than programs write that people read, and than what waited for the reader; a flood must not stop the page. */
const FROM_SERVER = { burst: KEPT, perSecond: 20 };
/** With more senders than a room has, those who have left are forgotten. */
const MOST_SENDERS = 256;
/** So many lines may be on their way to somebody over the data channel. */
const MOST_UNHEARD = 200;

/**
 * A line as pages tell it to pages, over the data channel or as an event called `chat`. `n` counts what the page `of` has said.
 * @typedef {{id?: unknown, text?: unknown, n?: unknown, of?: unknown}} Line
 */

export class Conversation {
  #options;
  /** The last ones. @type {ChatMessage[]} */ messages = [];
  /** How many there have been. */ count = 0;
  /** What each sender may say through the server. @type {Map<string, Allowance>} */ #allowances = new Map();
  /** What went through the server and may still be lost, by its number. @type {Map<number, ChatMessage>} */ #underway = new Map();

  /** How many lines were said here. */ #said = 0;
  /** This page, for those who count its lines. */ #page;

  /** @param {ConversationOptions} options */
  constructor(options) {
    this.#options = options;
    this.#page = options.newId();
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
    const { people, newId, clock } = this.#options;
    const id = newId();
    const message = { id, from: '', name: '', text, at: clock.now(), uncertain: false };
    this.#said += 1;
    for (const participant of people.list) this.#tell(participant, { message, n: this.#said });
    for (const { peer } of people.audience) this.#sendFar(message, { type: 'chat', text, to: peer });
    this.#keep(message);
  }

  /**
   * @param {Participant} participant
   * @param {Pick<Unheard, 'message' | 'n'>} line
   */
  #tell(participant, { message, n }) {
    const { active, introduced, unheard, numbered, id: to } = participant;
    const { id, text } = message;
    const line = { id, text, n, of: this.#page };
    // Who has not told about streams is another program, which may read nothing on our channel.
    if (introduced && active.sendChat({ type: 'chat', ...line })) {
      if (numbered && unheard.size < MOST_UNHEARD) unheard.set(n, { message, n, link: active });
    } else this.#sendFar(message, numbered ? { type: 'event', name: 'chat', data: line, to } : { type: 'chat', text, to });
  }

  /**
   * @param {ChatMessage} message
   * @param {OutMessage} frame
   */
  #sendFar(message, frame) {
    const sent = this.#options.sendThroughServer(frame);
    if (sent === null) message.uncertain = true;
    else this.#underway.set(sent, message);
  }

  /** What went into a channel that carries no more goes through the server, too: who has it takes it once. */
  linksChanged() {
    for (const participant of this.#options.people.list) {
      for (const [n, line] of participant.unheard) {
        if (line.link.carries) continue;
        participant.unheard.delete(n);
        this.#tell(participant, line);
      }
    }
  }

  /** @param {Participant} participant who has left */
  left({ unheard }) {
    for (const { message } of unheard.values()) message.uncertain = true;
  }

  /** @param {ChatMessage} message */
  #keep(message) {
    this.count += 1;
    this.messages.push(message);
    if (this.messages.length > KEPT) this.messages.shift();
  }

  /**
   * A message of somebody's chat channel.
   * @param {Participant} participant
   * @param {Record<string, unknown> | null} message
   */
  hear(participant, message) {
    if (message?.type === 'heard') participant.unheard.delete(Number(message.n));
    if (message?.type !== 'chat') return;
    if (typeof message.n === 'number') participant.active.sendChat({ type: 'heard', n: message.n });
    this.#take(participant.id, message);
  }

  /**
   * Somebody said something through the server, which passes on more than a page can show.
   * @param {string} from
   * @param {Line} line
   */
  takeFromServer(from, line) {
    const { people, clock } = this.#options;
    if (people.nameOf(from) === undefined) return;
    let allowance = this.#allowances.get(from);
    if (!allowance) {
      for (const sender of this.#allowances.size >= MOST_SENDERS ? [...this.#allowances.keys()] : []) {
        if (people.nameOf(sender) === undefined) this.#allowances.delete(sender);
      }
      allowance = new Allowance(FROM_SERVER, clock);
      this.#allowances.set(from, allowance);
    }
    if (allowance.take()) this.#take(from, line);
  }

  /**
   * @param {string} from
   * @param {Line} line
   */
  #take(from, { id, text: input, n, of }) {
    const { people, clock } = this.#options;
    const text = chatText(input);
    const name = people.nameOf(from);
    if (!text || name === undefined) return;
    const message = { id: String(id), from, name, text, at: clock.now(), uncertain: false };
    const participant = people.get(from);
    if (!participant || typeof n !== 'number' || !Number.isSafeInteger(n) || typeof of !== 'string') return this.#show(message);
    if (participant.lines?.of !== of) participant.lines = { of, order: new Order(clock, (line) => this.#show(line)) };
    participant.lines.order.take(n, message);
  }

  /** @param {ChatMessage} message */
  #show(message) {
    this.#keep(message);
    this.#options.onMessage(message);
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
