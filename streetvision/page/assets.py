"""The page's one script, as a constant: its hash stands in the Content-Security-Policy."""

from __future__ import annotations

SCRIPT = """
"use strict";
(() => {
  const sorted = {};
  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const sort = (table, place, down) => {
    const body = table.tBodies[0], rows = [...body.rows], sign = down ? -1 : 1;
    rows.sort((a, b) => {
      const x = value(a, place), y = value(b, place);
      return sign * (typeof x === "number" ? x - y : x.localeCompare(y));
    });
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((head, i) => {
      if (i === place) head.setAttribute("aria-sort", down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    sorted[table.id] = [place, down];
  };
  const enhance = () => document.querySelectorAll("table[id]").forEach((table) => {
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.onclick = () => sort(table, place, head.getAttribute("aria-sort") !== "descending");
      head.replaceChildren(button);
    });
    if (sorted[table.id]) sort(table, ...sorted[table.id]);
  });
  const remember = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not allowed here */ } };
  const recall = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const theme = document.getElementById(recall("theme") || "theme-auto");
  if (theme && theme.name === "theme") theme.checked = true;
  document.querySelectorAll("input[name=theme]").forEach((input) => {
    input.onchange = () => remember("theme", input.id);
  });
  const box = document.getElementById("refresh");
  const busy = () => {
    const main = document.querySelector("main");
    return document.hidden || main.contains(document.activeElement) || !document.getSelection().isCollapsed;
  };
  const refresh = async () => {
    if (!box.checked || busy()) return;
    const said = document.getElementById("said");
    try {
      const reply = await fetch(location.href, {cache: "no-store"});
      if (!reply.ok) throw new Error(reply.status);
      const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
      if (busy()) return;
      document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
      document.title = fresh.title;
      enhance();
      said.textContent = "";
    } catch {
      said.textContent = "The miner does not answer; this is what it said last.";
    }
  };
  enhance();
  if (box) {
    box.disabled = false;
    setInterval(refresh, 1000 * Number(box.dataset.seconds));
  }
})();
"""
