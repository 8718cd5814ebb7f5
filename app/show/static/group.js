// The address follows the open group, so that a reload shows it again; n and p go on in the list.
watch('value', () => {
  const patched = element.querySelector('article');
  if (patched) {
    // Gradio patches the elements of the group before; its player must not live on in them.
    const article = patched.cloneNode(true);
    patched.replaceWith(article);
    history.replaceState(null, '', article.dataset.link);
    element.scrollIntoView({ block: 'start' });
    article.querySelector('h2').focus({ preventScroll: true });
  }
  document.dispatchEvent(new CustomEvent('group-shown'));
});

document.addEventListener('keydown', (event) => {
  const button = { n: 'next-group', p: 'previous-group' }[event.key];
  if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest('input, textarea, select, [contenteditable]')) return;
  if (element.querySelector('article') && element.offsetParent) document.getElementById(button).click();
});
