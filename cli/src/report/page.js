(() => {
  const tip = document.getElementById("tip");
  const hide = () => {
    tip.hidden = true;
    document.querySelectorAll(".near").forEach((line) => line.classList.remove("near"));
  };
  const show = (text, event) => {
    tip.hidden = false;
    tip.textContent = text;
    const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const y = event.clientY + 16 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16;
    tip.style.left = Math.max(4, x) + "px";
    tip.style.top = y + "px";
  };
  // The places of each line, read once.
  const known = new WeakMap();
  const places = (line) => {
    if (!known.has(line)) known.set(line, line.getAttribute("points").split(" ").map((p) => p.split(",").map(Number)));
    return known.get(line);
  };
  // The line that comes nearest to the pointer, and where it does.
  const nearest = (svg, event) => {
    const box = svg.getBoundingClientRect(), unit = svg.viewBox.baseVal.width / box.width;
    const px = (event.clientX - box.left) * unit, py = (event.clientY - box.top) * unit;
    let found = null, least = (24 * unit) ** 2;
    for (const line of svg.querySelectorAll("polyline[data-tip]")) {
      const all = places(line);
      for (let i = 1; i < all.length; i++) {
        const [ax, ay] = all[i - 1], [dx, dy] = [all[i][0] - ax, all[i][1] - ay];
        const share = Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy || 1)));
        const at = [ax + share * dx, ay + share * dy];
        const distance = (at[0] - px) ** 2 + (at[1] - py) ** 2;
        // Of lines that lie on each other the last is seen.
        if (distance <= least) [found, least] = [{ line, at }, distance];
      }
    }
    return found;
  };
  const short = (value) => (Math.abs(value) >= 0.01 && Math.abs(value) < 1e4 ? +value.toPrecision(3) : value.toExponential(2));
  const along = (svg, event) => {
    const found = nearest(svg, event);
    hide();
    if (!found) return;
    const [left, right, bottom, top, x0, x1, y0, y1] = svg.dataset.near.split(" ").map(Number);
    const x = x0 + ((x1 - x0) * (found.at[0] - left)) / (right - left);
    const share = (found.at[1] - bottom) / (top - bottom);
    const y = svg.dataset.log ? y0 * (y1 / y0) ** share : y0 + (y1 - y0) * share;
    found.line.classList.add("near");
    const beyond = share > 0.999 ? "at least " : "";
    show(`${found.line.dataset.tip}\n${svg.dataset.x} ${Math.round(x)}: ${svg.dataset.y} ${beyond}${short(y)}`, event);
  };
  const point = (event) => {
    const svg = event.target.closest("svg[data-near]");
    if (svg) return along(svg, event);
    hide();
    const at = event.target.closest("[data-tip]");
    if (at) show(at.dataset.tip, event);
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
})();
