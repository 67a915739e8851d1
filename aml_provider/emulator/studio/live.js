"use strict";
// Asks for the page again every second, less often where that takes long, and puts what has changed in its place,
// element by element: what is scrolled, selected, focused or unfolded stays so. Without this script the page is
// complete, and still.
{
  const EVERY = 1000, REST = 20, PATIENCE = 10000;
  const notice = document.getElementById("connection");
  let timer, waiting;

  async function refresh() {
    clearTimeout(timer);
    waiting?.abort();
    const request = waiting = new AbortController();
    const asked = performance.now();
    const patience = setTimeout(() => request.abort(), PATIENCE);
    try {
      const reply = await fetch(location.pathname + location.search, {cache: "no-store", signal: request.signal});
      const text = await reply.text();
      if (request !== waiting) return;
      show(new DOMParser().parseFromString(text, "text/html"));
      tell("");
    } catch {
      if (request !== waiting) return;
      tell("The workspace does not answer. What is shown may be old.");
    } finally {
      clearTimeout(patience);
    }
    timer = setTimeout(refresh, Math.max(EVERY, REST * (performance.now() - asked)));
  }

  function stop() {
    clearTimeout(timer);
    waiting?.abort();
    waiting = undefined;
  }

  function tell(text) {
    if (notice.textContent !== text) notice.textContent = text;
  }

  function show(fresh) {
    const followed = [...document.querySelectorAll("pre")].filter(
      (log) => log.scrollHeight > log.clientHeight && log.scrollTop + log.clientHeight > log.scrollHeight - 5);
    for (const part of document.querySelectorAll("[data-live]")) {
      const wanted = fresh.getElementById(part.id);
      if (wanted) become(part, wanted);
    }
    for (const log of followed) log.scrollTop = log.scrollHeight;
    if (document.title !== fresh.title) document.title = fresh.title;
  }

  // Makes an element what another one is, keeping all of it that can stay.
  function become(element, wanted) {
    // Who unfolds or folds a log decides, until there is a reason to look into it.
    if (wanted.hasAttribute("data-look") && !element.hasAttribute("data-look")) element.open = true;
    for (const {name} of [...element.attributes]) {
      if (name !== "open" && !wanted.hasAttribute(name)) element.removeAttribute(name);
    }
    for (const {name, value} of wanted.attributes) {
      if (name !== "open" && element.getAttribute(name) !== value) element.setAttribute(name, value);
    }
    const named = new Map([...element.children].filter((child) => child.id).map((child) => [child.id, child]));
    let place = element.firstChild;
    for (const next of wanted.childNodes) {
      const old = next.id ? named.get(next.id) : alike(place, next) ? place : null;
      if (!old) {
        element.insertBefore(document.importNode(next, true), place);
        continue;
      }
      if (old === place) place = place.nextSibling;
      else element.insertBefore(old, place);
      if (next.nodeType === Node.ELEMENT_NODE) become(old, next);
      else write(old, next.data);
    }
    while (place) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
  }

  function alike(node, next) {
    return node && node.nodeName === next.nodeName && !node.id;
  }

  // A log that grows keeps the selection in it.
  function write(text, data) {
    if (data === text.data) return;
    if (data.startsWith(text.data)) text.appendData(data.slice(text.data.length));
    else text.data = data;
  }

  // A link to a step unfolds its log.
  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  addEventListener("hashchange", unfold);
  document.addEventListener("visibilitychange", () => document.hidden ? stop() : refresh());
  unfold();
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
}
