// A row opens its group in place. Its link works too, for a new tab and without a mouse.
element.addEventListener('click', (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.target.closest('button')) return;
  const row = event.target.closest('tbody tr');
  const link = row && row.querySelector('a.opens');
  if (!link) return;
  event.preventDefault();
  trigger('open', { step: link.dataset.step, group: link.dataset.group });
});

element.addEventListener('keydown', (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!by || !event.target.matches('a.opens')) return;
  const links = [...element.querySelectorAll('a.opens')];
  const next = links[links.indexOf(event.target) + by];
  if (!next) return;
  event.preventDefault();
  next.focus();
});

function mark() {
  const article = document.querySelector('#group article');
  const { step, group } = article ? article.dataset : {};
  for (const link of element.querySelectorAll('a.opens')) {
    const shown = link.dataset.step === step && link.dataset.group === group;
    if (shown) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
  }
}

watch('value', mark);
document.addEventListener('group-shown', mark);
