// SPDX-License-Identifier: GPL-2.0-or-later
// The page is whole without this: it only opens, hides and copies.
"use strict";
for (const button of document.querySelectorAll("button[data-open]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const rows = [...button.closest(".ue").querySelectorAll("details.row")];
    const open = rows.some((row) => !row.open);
    for (const row of rows) row.open = open;
  });
}
for (const button of document.querySelectorAll("button[data-hide]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const hidden = button.closest(".ue").classList.toggle("hide-" + button.dataset.hide);
    button.setAttribute("aria-pressed", String(hidden));
  });
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.textContent = "copied";
  });
}
const reveal = () => {
  const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (row && row.tagName === "DETAILS") row.open = true;
};
addEventListener("hashchange", reveal);
reveal();
