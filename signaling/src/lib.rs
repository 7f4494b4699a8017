//! WebSocket signaling, the call page and the bundled relay in one process.
