// The panels over the call. They are loaded once the call is there, and opened when somebody wants them.

import { createConnectionPanel } from './connection.js';
import { createPeoplePanel } from './people.js';
import { createPreferences } from './preferences.js';

/** @import { Call } from '../call/call.js' */
/** @import { Devices } from '../call/devices.js' */
/** @import { Settings } from '../settings.js' */

/**
 * @param {object} options
 * @param {Call} options.call
 * @param {Devices} options.devices
 * @param {string} options.selfName
 * @param {string} options.link
 * @param {string} options.watchLink for those who shall only watch
 * @param {Settings} options.settings as they are now
 * @param {(changes: Partial<Settings>) => void} options.onSettings
 */
export function createPanels({ call, devices, selfName, link, watchLink, settings, onSettings }) {
  const connection = createConnectionPanel({ call });
  const people = createPeoplePanel({ call, selfName, link, watchLink });
  const preferences = createPreferences({ devices, watching: call.watching, settings, onSettings });
  const panels = [connection, people, preferences];
  const only = (/** @type {typeof panels[number]} */ wanted) => {
    for (const panel of panels) if (panel !== wanted) panel.close();
  };
  return {
    elements: panels.map((panel) => panel.element),
    update() {
      for (const panel of panels) panel.update();
    },
    /** @param {string} id of the participant whose connection is shown */
    openConnection(id) {
      only(connection);
      connection.open(id);
    },
    togglePeople() {
      only(people);
      people.toggle();
    },
    toggleSettings() {
      only(preferences);
      preferences.toggle();
    },
  };
}
