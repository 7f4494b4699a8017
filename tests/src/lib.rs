//! End-to-end tests with real processes, real browsers and foreign clients.
