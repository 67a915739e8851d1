"use strict";
// Reloads the page every second, or less often if that is slow, and replaces only the elements that changed: scroll
// positions, selection, focus and unfolded logs stay. Without this script the page is complete, but static.
{
  const EVERY = 1000, REST = 20, TIMEOUT = 10000;
  const notice = document.getElementById("connection");
  let timer, waiting;

  async function refresh() {
    clearTimeout(timer);
    waiting?.abort();
    const request = waiting = new AbortController();
    const started = performance.now();
    const timeout = setTimeout(() => request.abort(), TIMEOUT);
    try {
      const reply = await fetch(location.pathname + location.search, {cache: "no-store", signal: request.signal});
      const text = await reply.text();
      if (request !== waiting) return;
      show(new DOMParser().parseFromString(text, "text/html"));
      notify("");
    } catch {
      if (request !== waiting) return;
      notify("The workspace does not answer. This page may be out of date.");
    } finally {
      clearTimeout(timeout);
    }
    timer = setTimeout(refresh, Math.max(EVERY, REST * (performance.now() - started)));
  }

  function stop() {
    clearTimeout(timer);
    waiting?.abort();
    waiting = undefined;
  }

  function notify(text) {
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

  // Makes an element equal to another, keeping as many of its nodes as possible.
  function become(element, wanted) {
    // The reader decides whether a log is unfolded, until there is a new reason to show it.
    if (wanted.hasAttribute("data-unfolded") && !element.hasAttribute("data-unfolded")) element.open = true;
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

  // Appending to a growing log keeps the selection in it.
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
