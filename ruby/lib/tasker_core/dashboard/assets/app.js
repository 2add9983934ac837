// Keeps a page up to date: the server says that something changed, and the page is asked for again. Whoever is
// filling in a form is left alone until done.
"use strict";
(function () {
  const script = document.currentScript;
  const live = document.getElementById("live");
  const part = document.querySelector("[data-live]");
  let waiting = false;

  document.addEventListener("keydown", function (event) {
    if (event.key !== "/" || event.target.closest("input, select, textarea")) return;
    const search = document.getElementById("search");
    if (search) { event.preventDefault(); search.focus(); }
  });

  if (!part || !window.EventSource) return;

  function busy() {
    const at = document.activeElement;
    return at && at.matches("input, select, textarea, button") && at.form && at.form.method === "post";
  }

  async function refresh() {
    waiting = busy();
    if (waiting) return;
    const url = new URL(location.href);
    url.searchParams.delete("said");
    const answer = await fetch(url, { credentials: "same-origin" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = document.getElementById("content");
    const after = fresh.getElementById("content");
    if (!after || busy()) return;
    const open = Array.from(before.querySelectorAll("details[id]")).filter(d => d.open).map(d => d.id);
    const at = document.activeElement;
    const again = at && before.contains(at) ? at.getAttribute("href") || at.id : null;
    const scrolled = Array.from(before.querySelectorAll(".scroll")).map(d => d.scrollLeft);
    before.replaceChildren(...after.childNodes);
    open.forEach(id => { const d = document.getElementById(id); if (d) d.open = true; });
    before.querySelectorAll(".scroll").forEach((d, i) => { d.scrollLeft = scrolled[i] || 0; });
    if (again) {
      const same = before.querySelector('[href="' + CSS.escape(again) + '"]') || document.getElementById(again);
      if (same) same.focus({ preventScroll: true });
    }
    live.textContent = "updated " + new Date().toLocaleTimeString();
  }

  document.addEventListener("focusout", function () { if (waiting) setTimeout(refresh, 0); });

  const source = new EventSource(script.dataset.events + (part.dataset.live ? "?" + part.dataset.live : ""));
  source.addEventListener("open", function () { live.textContent = "live"; });
  source.addEventListener("changed", refresh);
  source.addEventListener("error", function () {
    live.textContent = "not live";
    if (source.readyState === EventSource.CLOSED) setInterval(refresh, 5000);
  });
})();
