// Keys of the review page, and a warning before a draft is lost. Nothing is kept in the browser but the
// reviewer's own name, and that only until the tab is closed.
(() => {
  if (window.medgrpoReview) return;
  window.medgrpoReview = true;
  const marks = () => [...document.querySelectorAll(".review-mark")];
  const form = () => document.querySelector("#review-form");
  let row = 0;
  let unsaved = false;

  const select = (number, focus) => {
    const all = marks();
    if (!all.length) return;
    row = Math.max(0, Math.min(all.length - 1, number));
    all.forEach((mark, k) => mark.classList.toggle("current", k === row));
    const name = all[row].id.replace("mark-", "");
    document.querySelectorAll(".anchors").forEach((help) => {
      help.hidden = help.dataset.mark !== name;
    });
    if (focus) {
      const inputs = [...all[row].querySelectorAll("input")];
      (inputs.find((input) => input.checked) || inputs[0])?.focus();
    }
  };

  const press = (selector) => {
    const found = document.querySelector(selector);
    if (found && found.offsetParent !== null && !found.disabled) found.click();
  };

  const choose = (container, number) => {
    const input = container?.querySelectorAll("input")[number];
    if (input) input.click();
  };

  const writing = (target) =>
    target.isContentEditable ||
    target.tagName === "TEXTAREA" ||
    target.tagName === "SELECT" ||
    (target.tagName === "INPUT" && !["radio", "checkbox"].includes(target.type));

  document.addEventListener("keydown", (event) => {
    const shown = (id) => document.querySelector(id)?.checkVisibility();
    // Enter on a bar below the video seeks there, and is the player's.
    if (event.defaultPrevented || event.target.closest?.("[data-seek]")) return;
    if (!shown("#review-actions") || event.altKey || event.metaKey || writing(event.target)) return;
    const key = event.key;
    if (event.ctrlKey && key !== "Enter") return;
    if (!shown("#review-form") && key !== "u" && key !== "U" && key !== "?") return;
    if (key >= "1" && key <= "5") {
      choose(marks()[row], Number(key) - 1);
      select(row + 1, true);
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      select(row + (key === "ArrowDown" ? 1 : -1), true);
    } else if (key === "a" || key === "A") {
      choose(document.querySelector("#review-decision"), 0);
    } else if (key === "r" || key === "R") {
      choose(document.querySelector("#review-decision"), 1);
    } else if (key === "u" || key === "U") {
      press("#review-undo");
    } else if (key === "?") {
      const help = document.querySelector("#review-keys");
      if (help) help.open = !help.open;
    } else if (key === "Enter") {
      if (["BUTTON", "A", "SUMMARY"].includes(event.target.tagName)) return;
      press("#review-save");
    } else {
      return;
    }
    event.preventDefault();
  });

  document.addEventListener("focusin", (event) => {
    const mark = event.target.closest?.(".review-mark");
    if (mark) select(marks().indexOf(mark), false);
  });

  document.addEventListener("input", (event) => {
    if (form()?.contains(event.target)) unsaved = true;
  });

  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });

  // The server says with each item it shows whether the form holds something that is not saved.
  let seen = "";
  new MutationObserver(() => {
    const told = document.querySelector("#review-turn [data-turn]");
    if (!told || told.dataset.turn === seen) return;
    seen = told.dataset.turn;
    unsaved = told.dataset.draft === "kept";
    if (told.dataset.reviewer) sessionStorage.setItem("medgrpo-reviewer", told.dataset.reviewer);
    setTimeout(() => select(0, true), 50);
    window.scrollTo({ top: 0 });
  }).observe(document.body, { childList: true, subtree: true, attributes: true });
})();
