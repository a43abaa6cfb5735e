// A run's page and the queue: opening and closing, live pieces. The server makes all markup; texts
// from runs arrive escaped. Without this script the pages reload themselves instead.
"use strict";

(() => {
  const KEPT = 400; // entries on a page that stays open
  const parsed = (text) => new DOMParser().parseFromString(text, "text/html");

  // Make `old` like `now`, touching only what differs: focus, scrolling and what is open stay.
  const renew = (old, now) => {
    if (old.isEqualNode(now)) return;
    if (old.nodeName !== now.nodeName || !old.attributes) {
      old.replaceWith(now);
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !now.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) old.setAttribute(name, value);
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    after.forEach((node, n) => (n < before.length ? renew(before[n], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  };

  // Ask for this page again, and take over the part of it that the selector names.
  const again = async (selector) => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    const now = answer?.ok && parsed(await answer.text()).querySelector(selector);
    if (now) renew(document.querySelector(selector), document.adoptNode(now));
  };

  const area = document.querySelector("[data-renew]");
  if (area) {
    const due = () => { if (!document.hidden) again("[data-renew]"); };
    setInterval(due, Number(area.dataset.renew) * 1000);
  }

  const journal = document.getElementById("journal");
  if (!journal) return;
  const live = document.getElementById("live");
  const show = (id) => { document.getElementById(id).hidden = false; };
  const each = (open) => {
    for (const entry of journal.querySelectorAll(":scope > li > details")) entry.open = open;
  };
  document.getElementById("open-all").addEventListener("click", () => each(true));
  document.getElementById("close-all").addEventListener("click", () => each(false));
  show("open-all");
  show("close-all");

  // An address that names an entry opens it.
  const named = () => {
    const entry = /^#e\d+$/.test(location.hash) && journal.querySelector(location.hash + " > details");
    if (entry) { entry.open = true; entry.scrollIntoView(); }
  };
  window.addEventListener("hashchange", named);
  named();

  if (!journal.dataset.stream || !window.EventSource) return;
  const follow = document.getElementById("follow");
  show("follow-label");

  const source = new EventSource(journal.dataset.stream);
  source.addEventListener("open", () => { live.textContent = "Live."; });
  source.addEventListener("error", () => { live.textContent = "Connection lost; reconnecting."; });
  source.addEventListener("entries", (message) => {
    for (const entry of [...parsed("<ol>" + message.data + "</ol>").querySelectorAll("body > ol > li")]) {
      if (document.getElementById(entry.id)) continue; // sent again after a lost connection
      if (entry.dataset.ended) {
        for (const begun of journal.querySelectorAll("li[data-begun]")) {
          if (begun.dataset.begun === entry.dataset.ended) begun.remove();
        }
      }
      journal.append(document.adoptNode(entry));
    }
    while (journal.children.length > KEPT) journal.firstElementChild.remove();
    document.getElementById("window").textContent =
      journal.firstElementChild.id.slice(1) + " to " + journal.lastElementChild.id.slice(1);
    if (follow.checked) journal.lastElementChild.scrollIntoView({ block: "end" });
  });
  source.addEventListener("head", (message) => {
    const now = document.createElement("div");
    now.id = "head";
    now.append(...parsed(message.data).body.childNodes); // appending adopts them
    const status = () => document.querySelector("#head .state")?.textContent;
    const before = status();
    renew(document.getElementById("head"), now);
    if (status() !== before) again("#asked"); // it asks, or has its answer
  });
  source.addEventListener("over", () => {
    source.close();
    live.textContent = "The run is over.";
    again("#acts"); // what can be done now
  });
})();
