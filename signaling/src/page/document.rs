//! The one document of the page, which names the scripts that its first screen consists of: a browser that learnt of each from the
//! one that imports it would need a round trip for every level.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::{ACCEPT_LANGUAGE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response, Uri};
use sha2::{Digest as _, Sha256};

use super::{Content, Files, version};

/// Where the scripts begin; what they are made of is named before it.
const START: &str = "<script type=\"module\" src=\"/src/main.js\"></script>";

/// What the first screen at an address is made of; `main.js` imports these itself, once it runs.
fn entries(uri: &Uri, language: &str) -> Vec<String> {
    let straight_in = parameter(uri, "autojoin").is_some_and(|value| value != "0");
    let screens: &[&str] = match uri.path() {
        "/" => &["src/view/landing.js"],
        "/check" => &["src/check-page.js"],
        _ if straight_in => &["src/room-page.js", "src/call-page.js"],
        _ => &["src/room-page.js"],
    };
    let mut entries: Vec<_> = [&["src/main.js"], screens].concat();
    let texts = format!("src/texts/{language}.js");
    let of_check = format!("src/texts/{language}-check.js");
    entries.push(&texts);
    if uri.path() == "/check" {
        entries.push(&of_check);
    }
    entries.into_iter().map(str::to_owned).collect()
}

fn parameter<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let mut pairs = uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The language that the page will most likely choose (`chooseLanguage`). Another one costs a round trip.
fn language(uri: &Uri, request: &HeaderMap) -> &'static str {
    let accepted = request
        .get(ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok());
    let wanted = parameter(uri, "lang").into_iter();
    let mut wanted = wanted.chain(accepted.unwrap_or_default().split(','));
    let known = wanted.find_map(|tag| {
        let primary = tag.trim().split(['-', ';']).next()?;
        ["en", "ko"]
            .into_iter()
            .find(|language| language.eq_ignore_ascii_case(primary))
    });
    known.unwrap_or("en")
}

/// The document for an address.
pub(crate) fn document(uri: &Uri, request: &HeaderMap) -> Response<Body> {
    let content = content(entries(uri, language(uri, request)));
    let mut response = content.respond(request);
    let varies = HeaderValue::from_static("accept-encoding, accept-language");
    response.headers_mut().insert(VARY, varies);
    response
}

/// The document with these entries, written once; in a debug build, where the files may change, each time.
fn content(entries: Vec<String>) -> Content {
    static WRITTEN: LazyLock<Mutex<BTreeMap<Vec<String>, Content>>> = LazyLock::new(Mutex::default);
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(content) = written.get(&entries) {
        return content.clone();
    }
    let data = Bytes::from(write(&entries));
    let content = Content {
        content_type: "text/html; charset=utf-8",
        hash: Sha256::digest(&data).into(),
        data,
    };
    if !cfg!(debug_assertions) {
        written.insert(entries, content.clone());
    }
    content
}

fn write(entries: &[String]) -> String {
    let links: String = with_imports(entries, read)
        .iter()
        .map(|path| format!("<link rel=\"modulepreload\" href=\"/{path}\">\n    "))
        .collect();
    let document = read("index.html").expect("a page without its document is not built");
    version::point_to_version(&document.replacen(START, &(links + START), 1))
}

fn read(path: &str) -> Option<String> {
    let file = Files::get(path)?;
    String::from_utf8(file.data.into_owned()).ok()
}

/// Scripts, and what they import before they run, directly and indirectly.
fn with_imports(entries: &[String], read: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = entries.to_vec();
    while let Some(path) = next.pop() {
        let Some(source) = read(&path) else {
            continue;
        };
        next.extend(imports(&path, &source).filter(|import| !found.contains(import)));
        found.insert(path);
    }
    found
}

/// What a script imports before it runs. Declarations begin or end a line; what is only imported when it is wanted, or in
/// a comment, does not.
fn imports<'a>(path: &'a str, source: &'a str) -> impl Iterator<Item = String> + 'a {
    let declarations = source.lines().filter_map(|line| {
        let begins = ["import ", "export ", "} from "];
        begins.iter().find(|begin| line.starts_with(**begin))?;
        let (_, from) = line.rsplit_once("from ")?;
        let name = from.trim_end_matches(';');
        let quoted = |quote| name.strip_prefix(quote)?.strip_suffix(quote);
        quoted('\'').or_else(|| quoted('"'))
    });
    declarations.filter_map(|name| resolve(path, name))
}

/// The path of what `importer` imports as `name`, such as `../call/chat.js`.
fn resolve(importer: &str, name: &str) -> Option<String> {
    let mut parts: Vec<_> = importer.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(address: &'static str, accept_language: &'static str) -> String {
        let mut request = HeaderMap::new();
        request.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept_language));
        let uri = Uri::from_static(address);
        write(&entries(&uri, language(&uri, &request)))
    }

    #[test]
    fn what_is_imported_is_found_at_any_depth_and_once() {
        let read = |path: &str| {
            let source = match path {
                "src/a.js" => {
                    "import { b } from './deep/b.js';\nimport {\n  c,\n} from \"./c.js\";\n"
                }
                "src/deep/b.js" => "export { c } from '../c.js';\nimport { a } from '../a.js';\n",
                "src/c.js" => {
                    "/** @import { D } from './d.js' */\nconst d = () => import('./d.js');\n// from './e.js'\n"
                }
                _ => return None,
            };
            Some(source.to_owned())
        };
        let found = with_imports(&["src/a.js".to_owned()], read);
        assert_eq!(
            Vec::from_iter(found),
            ["src/a.js", "src/c.js", "src/deep/b.js"]
        );
    }

    #[test]
    fn each_address_names_what_its_first_screen_needs_in_the_reader_s_language() {
        let room = scripts("/room/tea", "ko-KR,en;q=0.5");
        for path in [
            "src/main.js",
            "src/room-page.js",
            "src/view/dom.js",
            "src/texts/ko.js",
        ] {
            assert!(room.contains(&format!("/{path}\"")), "{path}: {room}");
        }
        for path in ["call/call.js", "texts/en.js", "check/"] {
            assert!(!room.contains(path), "{path}: {room}");
        }
        assert!(scripts("/room/tea?autojoin=1", "fr").contains("/src/call/call.js"));
        assert!(scripts("/check?lang=ko", "en").contains("/src/texts/ko-check.js"));
        assert!(scripts("/", "fr").contains("/src/texts/en.js"));
        assert!(room.ends_with("</html>\n") && room.matches("<script").count() == 1);
        assert!(!room.contains("\"/src/"), "all of one version: {room}");
    }
}
