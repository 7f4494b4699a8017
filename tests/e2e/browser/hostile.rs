//! What others send is text, whatever it looks like.

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::page::Peer;
use tests::poll::{self, Look};
use tests::stage;

/// What would run if a page took it for anything but text.
const PAYLOADS: [&str; 40] = [
    "<script>pwned()</script>",
    "<img src=x onerror=pwned()>",
    "<svg onload=pwned()>",
    "<svg><script>pwned()</script></svg>",
    "<iframe srcdoc='<script>parent.pwned()</script>'>",
    "<iframe src=javascript:parent.pwned()>",
    "<body onload=pwned()>",
    "<input autofocus onfocus=pwned()>",
    "<details open ontoggle=pwned()>",
    "<video><source onerror=pwned()>",
    "<audio src=x onerror=pwned()>",
    "<marquee onstart=pwned()>",
    "<math href=javascript:pwned()>x</math>",
    "<a href=javascript:pwned()>x</a>",
    "<object data=javascript:pwned()>",
    "<embed src=javascript:pwned()>",
    "<form action=javascript:pwned()><button>x",
    "<base href=//evil.test/>",
    "<link rel=stylesheet href=//evil.test/x>",
    "<meta http-equiv=refresh content=0;url=//evil.test>",
    "<style>@import '//evil.test/x';</style>",
    "<style>*{display:none}</style>",
    "<template><img src=x onerror=pwned()></template>",
    "<noscript><p title='</noscript><img src=x onerror=pwned()>'>",
    "<select><template shadowrootmode=open><b>x",
    "<!--><img src=x onerror=pwned()>-->",
    "<![CDATA[><img src=x onerror=pwned()>]]>",
    "<scr<script>ipt>pwned()</scr</script>ipt>",
    "<IMG SRC=JaVaScRiPt:pwned()>",
    "<img src=`x`onerror=pwned()>",
    "<x onclick=pwned() tabindex=1 id=x autofocus>",
    "<button popovertarget=x>x</button><b popover id=x onbeforetoggle=pwned()>",
    "javascript:pwned()",
    "java\tscript:pwned()",
    "data:text/html,<script>pwned()</script>",
    "vbscript:pwned()",
    "https://example.test/\"onmouseover=\"pwned()",
    "https://example.test/<script>pwned()</script>",
    "{{constructor.constructor('pwned()')()}}",
    "${pwned()}",
];
/// What is put around each, to break out of wherever it might be put.
const BREAKOUTS: [&str; 5] = ["", "\">", "'>", "</textarea>", "-->"];

/// Calls itself if anything runs, and counts what must not be in the document.
const WATCH: &str = "(() => {
  window.damage = [];
  window.pwned = () => window.damage.push('a script ran');
  addEventListener('securitypolicyviolation', (event) => window.damage.push(`policy: ${event.violatedDirective}`));
})()";
const DAMAGE: &str = "[...window.damage, ...[...document.querySelectorAll('*')].flatMap((element) => {
  const tag = element.localName;
  const alien = ['script', 'iframe', 'object', 'embed', 'base', 'style', 'template', 'marquee', 'math', 'x'];
  const found = alien.includes(tag) && !(tag === 'script' && element.src.startsWith(location.origin)) ? [tag] : [];
  const attributes = [...element.attributes].filter(({name}) => name.startsWith('on') || name === 'action').map(({name}) => name);
  const links = tag === 'a' && !/^(https?|blob):/.test(element.href) ? [element.href] : [];
  return [...found, ...attributes, ...links];
})]";
/// Enters as somebody who speaks to the server directly: no page of ours cleans what they send.
const INTRUDER: &str = "new Promise((entered, failed) => {
  const socket = new WebSocket(arg.url, 'signal.v1');
  let id = 0;
  window.intruder = (message) => socket.send(JSON.stringify({...message, id: (id += 1)}));
  socket.onopen = () => socket.send(JSON.stringify({type: 'hello', room: 'tea', name: 'eve'}));
  socket.onerror = failed;
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    window.lastError = message.type === 'error' ? message : window.lastError;
    if (message.type === 'welcome') { window.victim = message.room.peers[0].peer; entered(message.peer); }
  };
})";

async fn intrude(
    browser: &Browser,
    service: &tests::programs::Signaling,
) -> anyhow::Result<String> {
    browser.open(&service.page).await?;
    let peer = browser
        .value(INTRUDER, json!({"url": service.socket()}))
        .await?;
    Ok(peer.as_str().unwrap_or_default().to_owned())
}

async fn nothing_ran(browser: &Browser) -> anyhow::Result<()> {
    let damage = browser.value(DAMAGE, Value::Null).await?;
    assert_eq!(damage, json!([]));
    let wide = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    assert_eq!(
        browser.value(wide, Value::Null).await?,
        true,
        "the page is wider than the window"
    );
    Ok(())
}

#[test]
fn two_hundred_ways_to_smuggle_a_script_are_shown_as_text() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, eve) = tokio::try_join!(stage.browser("ann"), stage.browser("eve"))?;
        ann.enter(&service.room("tea", "ann", "&audio=0&video=0"))
            .await?;
        ann.value(WATCH, Value::Null).await?;
        let peer = intrude(&eve, &service).await?;
        ann.click("[data-testid=toggle-chat]").await?;
        ann.click("[data-testid=toggle-people]").await?;
        let payloads = PAYLOADS
            .iter()
            .flat_map(|payload| BREAKOUTS.map(|breakout| format!("{breakout}{payload}")));
        let payloads: Vec<_> = payloads.collect();
        assert_eq!(payloads.len(), 200);
        let mut sent = 0;
        for some in payloads.chunks(10) {
            let attack = "arg.flatMap((it) => [{type: 'update', name: it}, {type: 'chat', text: it},
                {type: 'event', name: 'reaction', data: {reaction: it}},
                {type: 'event', name: 'streams', data: {screen: it}},
                {type: 'event', name: 'page', data: {key: it, proof: it}}]).forEach(window.intruder)";
            eve.value(attack, json!(some)).await?;
            let before = sent;
            sent += some.len();
            let arrived = |eve: &Peer| eve.chat().len() == sent;
            let what = format!("said {sent}");
            let seen = ann.peer_until(&peer, &what, arrived).await?;
            // As text: with what is invisible taken out.
            let texts: Vec<_> = some.iter().map(|it| it.replace('\t', " ")).collect();
            assert_eq!(seen.chat()[before..], texts);
        }
        nothing_ran(&ann).await?;
        ann.screenshot("harmless").await?;
        // Names that turn text around, pile up or do not end.
        for name in [
            "\u{202e}\u{202e}eve\u{200b}\u{200b}",
            "Z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}",
            "👩‍👩‍👧‍👦",
        ] {
            let long = name.repeat(60);
            eve.value("window.intruder({type: 'update', name: arg})", json!(long))
                .await?;
        }
        eve.value(
            "window.intruder({type: 'update', name: 'W'.repeat(10000)})",
            Value::Null,
        )
        .await?;
        eve.value(
            "window.intruder({type: 'chat', text: 'W'.repeat(10000)})",
            Value::Null,
        )
        .await?;
        let long = |eve: &Peer| eve.chat().len() == 201;
        ann.peer_until(&peer, "the long text", long).await?;
        nothing_ran(&ann).await?;
        ann.screenshot("long").await
    });
}

#[test]
fn a_hostile_room_name_is_text_on_every_screen() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let ann = stage.browser("ann").await?;
        for room in [
            "%3Cimg%20src=x%20onerror=alert(1)%3E",
            "%22%3E%3Csvg%20onload=alert(1)%3E",
            "javascript:alert(1)",
        ] {
            ann.open(&format!(
                "{}/room/{room}?name=%3Cb%3Eann&lang=en",
                service.page
            ))
            .await?;
            ann.value(WATCH, Value::Null).await?;
            ann.click_when_there("[data-testid=join]").await?;
            ann.is_in_the_room().await?;
            nothing_ran(&ann).await?;
            ann.click("[data-testid=leave]").await?;
            ann.text_of("[data-testid=end-title]").await?;
            nothing_ran(&ann).await?;
        }
        Ok(())
    });
}

#[test]
fn who_offers_a_call_without_encryption_is_refused_and_that_is_said() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let (ann, eve) = tokio::try_join!(stage.browser("ann"), stage.browser("eve"))?;
        ann.enter(&service.room("tea", "ann", "&audio=0&video=0"))
            .await?;
        intrude(&eve, &service).await?;
        let lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "m=audio 9 RTP/AVP 0",
            "c=IN IP4 127.0.0.1",
            "",
        ];
        let offer = "window.intruder({type: 'signal', to: window.victim, epoch: 1, description: {type: 'offer', sdp: arg}})";
        eve.value(offer, json!(lines.join("\r\n"))).await?;
        ann.says("[data-testid=tile-status]", &["does not encrypt"])
            .await?;
        ann.screenshot("refused").await?;
        let answered = ann.everybody().await?;
        assert!(answered.iter().all(|peer| peer.path().is_empty()));
        Ok(())
    });
}

/// A server in the page's own place: it greets with a thousand people and talks nonsense.
const LYING_SERVER: &str = "(() => {
  const people = Array.from({length: 1000}, (_, number) => ({peer: `p${number}`, name: `<b>${number}`, role: 'participant',
    state: 'here', media: {audio: true, video: true, screen: false}, polite: number % 2 === 0}));
  window.WebSocket = class {
    static OPEN = 1;
    constructor() {
      window.socket = this;
      this.readyState = WebSocket.OPEN;
      setTimeout(() => this.onopen?.({}));
    }
    send(text) {
      if (JSON.parse(text).type !== 'hello') return;
      for (const nonsense of ['', '{', '[]', 'null', '{\"type\":\"signal\"}', '{\"type\":\"chat\",\"seq\":-1}', '{\"type\":\"?\"}',
        '{\"type\":\"welcome\"}', new ArrayBuffer(9)]) this.onmessage({data: nonsense});
      this.onmessage({data: JSON.stringify({type: 'welcome', peer: 'me', ticket: 't', resumed: false, received: 0, limits: {},
        ping_interval_s: 10, resume_window_s: 60, ice_servers: [{urls: ['nonsense:']}, {urls: 7}, {urls: ['turn:127.0.0.1:9'], username: 'u', credential: 'c', expires_at: 1}],
        room: {name: 'tea', locked: false, capacity: 1e9, peers: people}})});
    }
    close() {}
  };
})()";

#[test]
fn a_server_that_lies_leaves_the_page_usable() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let ann = stage.browser("ann").await?;
        ann.open(&format!(
            "{}/?audio=0&video=0&name=ann&lang=en",
            service.page
        ))
        .await?;
        ann.text_of("h1").await?;
        ann.value(LYING_SERVER, Value::Null).await?;
        ann.click("[data-testid=create-room]").await?;
        ann.click_when_there("[data-testid=join]").await?;
        ann.is_in_the_room().await?;
        ann.click("[data-testid=toggle-chat]").await?;
        let people = "document.querySelectorAll('[data-testid=tile]').length";
        poll::until("people on the stage", async || {
            let shown = ann.value(people, Value::Null).await?;
            Ok(if shown.as_u64() > Some(10) {
                Look::There(())
            } else {
                Look::NotYet(shown.to_string())
            })
        })
        .await?;
        ann.screenshot("a-thousand").await?;
        ann.click("[data-testid=leave]").await?;
        poll::until("the end", async || {
            let title = ann.text_of("[data-testid=end-title]").await?;
            Ok(if title.is_empty() {
                Look::NotYet(title)
            } else {
                Look::There(())
            })
        })
        .await
    });
}
