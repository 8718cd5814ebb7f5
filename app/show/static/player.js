// Plays clips: steps from picture to picture, seeks by a click on a span, draws boxes at the current moment.
// Players come and go with the page; each is an element with data-player. Data becomes text and numbers only.
(() => {
  'use strict';

  const SVG = 'http://www.w3.org/2000/svg';
  const NUDGE = 0.002; // seconds by which a seek goes behind a picture's start, so that rounding cannot miss it
  const players = new WeakMap();
  let latest = null;

  class Player {
    constructor(root) {
      this.root = root;
      this.given = root.dataset.player;
      this.data = JSON.parse(this.given);
      this.video = root.querySelector('video');
      this.marks = root.querySelector('svg.marks');
      this.stage = root.querySelector('.stage');
      this.controls = root.querySelector('.controls');
      this.status = root.querySelector('.status');
      this.stills = root.querySelector('.stills');
      this.scrub = root.querySelector('[data-act=scrub]');
      this.clock = root.querySelector('.clock');
      this.index = 0;
      this.wanted = null; // a moment asked for before there was a film
      this.ask(500);
    }

    // How far is the film? Asked again until it is there or cannot be made.
    async ask(wait) {
      if (!this.root.isConnected) return;
      let told;
      try {
        const answer = await fetch(`/clips/${encodeURIComponent(this.data.key)}`);
        told = answer.ok ? await answer.json() : { state: 'gone' };
      } catch {
        told = { state: 'gone' };
      }
      if (!this.root.isConnected) return;
      if (told.state === 'ready') return this.start(told);
      if (told.state === 'failed') return this.say(`There is no video of this clip. ${told.reason} You see single pictures instead.`, true);
      if (told.state === 'unknown') return this.say('The video is not being prepared. Load the page again to start it.', true);
      if (told.state === 'gone') this.say('The dashboard does not answer. Is it still running?', true);
      setTimeout(() => this.ask(Math.min(4000, wait * 1.3)), wait);
    }

    // Gradio changes the elements of a page in place: this one may have become that of another clip, or of the
    // same clip beside another answer, and is then as it was before its film came.
    get reused() {
      return this.given !== this.root.dataset.player || (Boolean(this.film) && this.root.dataset.ready === undefined);
    }

    say(words, warning) {
      this.status.textContent = words;
      this.status.classList.toggle('warning', Boolean(warning));
      this.status.hidden = !words;
    }

    start(film) {
      this.film = film;
      const [width, height] = film.size;
      const canvas = this.data.canvas || film.stored;
      this.stage.style.setProperty('--shape', String(width / height));
      this.marks.setAttribute('viewBox', `0 0 ${canvas[0]} ${canvas[1]}`);
      this.unit = canvas[1] / 22; // of letters, in pixels of the canvas
      this.boxes = this.data.tracks.map((track) => {
        const found = new Map();
        for (const [time, ...box] of track.boxes) {
          const at = nearest(film.times, time);
          found.set(at, [...(found.get(at) || []), box]);
        }
        return found;
      });
      this.scrub.max = String(film.duration);
      this.listen();
      this.video.src = `/media/${encodeURIComponent(this.data.key)}.mp4`;
      this.stage.hidden = this.controls.hidden = false;
      this.stills.open = false;
      this.say(film.notes.join(' '), film.notes.length > 0);
      this.root.dataset.ready = '';
      this.show(0);
      if (this.wanted !== null) this.seek(this.wanted);
    }

    listen() {
      const video = this.video;
      for (const name of ['timeupdate', 'seeked', 'loadeddata']) {
        video.addEventListener(name, () => this.show(video.currentTime));
      }
      if (video.requestVideoFrameCallback) {
        const shown = (_, frame) => {
          if (!video.seeking) this.show(video.paused ? video.currentTime : frame.mediaTime);
          video.requestVideoFrameCallback(shown);
        };
        video.requestVideoFrameCallback(shown);
      }
      for (const name of ['play', 'pause', 'ended']) video.addEventListener(name, () => this.label());
      video.addEventListener('click', () => this.toggle());
      video.addEventListener('error', () => {
        this.stage.hidden = this.controls.hidden = true;
        this.stills.open = true;
        this.say('The video cannot be played: its file is gone or damaged. Load the page again to have it prepared anew.', true);
      });
      this.scrub.addEventListener('input', () => { this.video.currentTime = Number(this.scrub.value); });
      this.root.querySelector('[data-act=speed]').addEventListener('change', (event) => {
        video.playbackRate = Number(event.target.value);
      });
      this.root.addEventListener('change', (event) => {
        if (event.target.matches('[data-track]')) this.draw();
      });
    }

    label() {
      const playing = !this.video.paused && !this.video.ended;
      const button = this.root.querySelector('[data-act=play]');
      button.textContent = playing ? '❚❚ Pause' : '▶ Play';
      button.setAttribute('aria-label', playing ? 'Pause' : 'Play');
      button.title = playing ? 'Pause' : 'Play';
    }

    toggle() {
      if (!this.film) return;
      if (this.video.paused) this.video.play().catch(() => {}); // an error of its own event says why
      else this.video.pause();
    }

    // Seconds of the clip to seconds of the player, and the frame that is shown then.
    seek(second) {
      if (!this.film) {
        this.wanted = second;
        return;
      }
      const { times, starts, duration } = this.film;
      const at = before(times, second + NUDGE / 2);
      const inside = starts[at] + Math.max(0, second - times[at]);
      this.video.currentTime = Math.max(0, Math.min(inside + NUDGE, duration - NUDGE));
      this.wanted = null;
    }

    go(seconds) {
      if (this.film) this.seek(this.moment(this.video.currentTime) + seconds - NUDGE);
    }

    step(pictures) {
      if (!this.film) return;
      this.video.pause();
      const { starts, duration } = this.film;
      const at = Math.max(0, Math.min(this.index + pictures, starts.length - 1));
      const end = at + 1 < starts.length ? starts[at + 1] : duration;
      this.index = at;
      this.video.currentTime = starts[at] + Math.min(NUDGE, (end - starts[at]) / 2);
    }

    moment(player) {
      const { times, starts } = this.film;
      const at = before(starts, player);
      return times[at] + player - starts[at];
    }

    show(player) {
      const { times, starts } = this.film;
      this.index = before(starts, player + NUDGE / 4);
      const now = Math.max(times[this.index], this.moment(player));
      const last = this.moment(this.film.duration);
      this.clock.textContent = `${now.toFixed(2)} of ${last.toFixed(2)} seconds · picture ${this.index + 1} of ${times.length}`;
      if (document.activeElement !== this.scrub || !this.video.paused) this.scrub.value = String(player);
      this.scrub.setAttribute('aria-valuetext', `${now.toFixed(2)} seconds`);
      for (const lanes of this.root.querySelectorAll('svg.timeline')) mark(lanes, now);
      this.draw();
    }

    draw() {
      const halos = [];
      const boxes = []; // above all halos, so that the expert's shows between the dashes of an answer's
      const names = [];
      this.data.tracks.forEach((track, k) => {
        const choice = this.root.querySelector(`[data-track="${k}"]`);
        if (!choice || !choice.checked) return;
        const kind = track.expert ? 'expert' : 'answer';
        for (const [x1, y1, x2, y2] of this.boxes[k].get(this.index) || []) {
          const shape = { x: x1, y: y1, width: Math.max(1, x2 - x1), height: Math.max(1, y2 - y1) };
          halos.push(svg('rect', { ...shape, class: `halo ${kind}` }));
          boxes.push(svg('rect', { ...shape, class: `box ${kind}` }));
          names.push(this.name(track, kind, x1, y1, y2, names.length));
        }
      });
      this.marks.replaceChildren(...halos, ...boxes, ...names);
    }

    // The expert's above its box, those of answers below, one under the other, since boxes lie over each other.
    name(track, kind, x, top, bottom, order) {
      const under = bottom + this.unit * (0.2 + Math.max(1, order));
      const y = track.expert ? Math.max(this.unit, top - this.unit / 3) : Math.min(under, this.unit * 21.5);
      const made = svg('text', { x, y, class: `name ${kind}`, 'font-size': this.unit });
      made.textContent = track.name;
      return made;
    }
  }

  function svg(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    return made;
  }

  // Index of the last value that is not above x; 0 if there is none. Values increase.
  function before(values, x) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (values[middle] <= x) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  function nearest(values, x) {
    const at = before(values, x);
    return at + 1 < values.length && values[at + 1] - x < x - values[at] ? at + 1 : at;
  }

  function mark(lanes, second) {
    const { left, right, span } = lanes.dataset;
    const share = Math.max(0, Math.min(1, second / Number(span)));
    const x = Number(left) + (Number(right) - Number(left)) * share;
    let line = lanes.querySelector('.now');
    if (!line) {
      line = svg('line', { class: 'now', y1: 0, y2: lanes.viewBox.baseVal.height - 20 });
      lanes.append(line);
    }
    line.setAttribute('x1', String(x));
    line.setAttribute('x2', String(x));
  }

  function playerOf(element) {
    const inside = element.closest('[data-player]');
    const near = inside || element.closest('article')?.querySelector('[data-player]');
    return near ? players.get(near) : null;
  }

  function visible(player) {
    const box = player.root.getBoundingClientRect();
    return player.root.isConnected && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
  }

  // Keys count in the player; elsewhere only where the focus is on nothing that has a use for them.
  function playerForKey(target) {
    const inside = playerOf(target.closest('[data-player]') || document.createElement('i'));
    if (inside) return inside;
    if (target.closest('a, button, input, textarea, select, summary, [contenteditable], [role], [tabindex]:not([tabindex="-1"])')) return null;
    if (latest && visible(latest)) return latest;
    return [...document.querySelectorAll('[data-player]')].map((root) => players.get(root)).find((one) => one && visible(one)) || null;
  }

  const KEYS = {
    ' ': (player) => player.toggle(),
    k: (player) => player.toggle(),
    j: (player) => player.go(-5),
    l: (player) => player.go(5),
    ArrowLeft: (player) => player.go(-1),
    ArrowRight: (player) => player.go(1),
    ',': (player) => player.step(-1),
    '.': (player) => player.step(1),
  };

  document.addEventListener('keydown', (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target instanceof Element ? event.target : document.body;
    const segment = target.closest('[data-seek]');
    if (segment && (event.key === 'Enter' || event.key === ' ')) {
      const player = playerOf(segment);
      if (player) {
        event.preventDefault();
        player.seek(Number(segment.dataset.seek));
      }
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const act = KEYS[key];
    if (!act) return;
    if (target.closest('textarea, select, [contenteditable]')) return;
    const control = target.closest('input');
    if (control && !['checkbox', 'range'].includes(control.type)) return;
    if (control && control.type === 'range' && key.startsWith('Arrow')) return;
    if (key === ' ' && target.closest('button, summary, input')) return;
    const player = playerForKey(target);
    if (!player || !player.film) return;
    event.preventDefault();
    act(player);
  });

  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Element)) return;
    const player = playerOf(event.target);
    if (!player) return;
    latest = player;
    const segment = event.target.closest('[data-seek]');
    if (segment) player.seek(Number(segment.dataset.seek));
    const act = event.target.closest('[data-act]')?.dataset.act;
    if (act === 'play') player.toggle();
    if (act === 'back') player.step(-1);
    if (act === 'forward') player.step(1);
  });

  let looking = false;
  function look() {
    looking = false;
    for (const root of document.querySelectorAll('[data-player]')) {
      const known = players.get(root);
      if (!known) players.set(root, new Player(root));
      else if (known.reused) renew(root);
    }
  }

  // A copy has none of the listeners of the player before.
  function renew(root) {
    const copy = root.cloneNode(true);
    for (const choice of copy.querySelectorAll('[data-track]')) choice.checked = choice.hasAttribute('checked');
    root.replaceWith(copy);
    players.set(copy, new Player(copy));
  }
  new MutationObserver(() => {
    if (!looking) {
      looking = true;
      requestAnimationFrame(look);
    }
  }).observe(document, { childList: true, subtree: true, attributeFilter: ['data-player', 'data-ready'] });
  look();
})();
