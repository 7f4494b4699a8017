//! End-to-end tests. What a module needs is in its name, so that `tests/run` can leave out by name what a machine
//! lacks: `browser` needs chromium and chromedriver, `axe` npm besides, `firefox` firefox-esr and geckodriver besides both,
//! `long` what `browser` needs, and is run by `tests/run long` alone, `coturn` needs `turnutils_*`; the others need nothing.

mod axe;
mod browser;
mod conformance;
mod coturn;
mod firefox;
mod guard;
mod headless;
mod long;
mod robustness;
