// A run's page: opening and closing, and the live stream. The server makes all markup; texts from
// runs arrive escaped. Without this script the page reloads itself instead.
"use strict";

(() => {
  const KEPT = 400; // entries on a page that stays open
  const journal = document.getElementById("journal");
  const live = document.getElementById("live");
  if (!journal) return;

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
  const parsed = (text) => new DOMParser().parseFromString(text, "text/html").body;

  const source = new EventSource(journal.dataset.stream);
  source.addEventListener("open", () => { live.textContent = "Live."; });
  source.addEventListener("error", () => { live.textContent = "The connection is lost; trying again."; });
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
    const head = document.getElementById("head");
    const open = [...head.querySelectorAll("details[open][id]")].map((one) => one.id);
    head.replaceChildren(...parsed(message.data).childNodes);
    for (const id of open) {
      const one = document.getElementById(id);
      if (one) one.open = true;
    }
  });
  source.addEventListener("over", () => {
    source.close();
    live.textContent = "The run is over. Reload the page for what can be done now.";
  });
})();
