// Updates change the page in place. What a reader has opened stays open: by name (data-keep), not by position.
const opened = new Set();

document.addEventListener('click', (event) => {
  const summary = event.target.closest('summary');
  const details = summary && summary.parentElement;
  if (!details || !details.dataset.keep) return;
  if (details.open) opened.delete(details.dataset.keep);
  else opened.add(details.dataset.keep);
  for (const other of document.querySelectorAll('details[data-keep]')) {
    if (other !== details && other.dataset.keep === details.dataset.keep) other.open = !details.open;
  }
});

function reopen() {
  for (const details of document.querySelectorAll('details[data-keep]')) {
    const wanted = opened.has(details.dataset.keep);
    if (details.open !== wanted) details.open = wanted;
  }
}

let waiting = false;
new MutationObserver(() => {
  if (waiting) return;
  waiting = true;
  queueMicrotask(() => {
    waiting = false;
    reopen();
  });
}).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ['open'] });
