//! End-to-end tests. What a module needs is in its name, so that `tests/run` can leave out by name what a machine
//! lacks: `browser` needs chromium and chromedriver, `axe` npm besides, `coturn` needs `turnutils_*`; the others need nothing.

mod axe;
mod browser;
mod conformance;
mod coturn;
mod headless;
mod robustness;
