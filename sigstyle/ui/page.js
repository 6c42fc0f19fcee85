() => {
  const seen = (element) => element && element.offsetParent !== null && !element.disabled;
  const first = (selector) => [...document.querySelectorAll(selector)].find(seen);
  const hand = (files) => {
    const place = [...document.querySelectorAll(".takes-files")].find((element) => element.offsetParent !== null);
    const input = place && place.querySelector("input[type=file]");
    if (!input || !files.length) return false;
    const given = new DataTransfer();
    for (const file of files) given.items.add(file);
    input.files = given.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  };
  document.addEventListener("keydown", (event) => {
    const button = event.key === "Escape" ? first("button.halt, .halt button")
      : event.key === "Enter" && (event.ctrlKey || event.metaKey) ? first("button.go, .go button") : null;
    if (button) { event.preventDefault(); button.click(); }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.closest("input, textarea, [role=slider], [role=tab], .tiles")) return;
    const pictures = [...document.querySelectorAll("#pictures .thumbnail-lg")].filter(seen);
    const at = pictures.findIndex((picture) => picture.classList.contains("selected"));
    if (at >= 0 && pictures[at + step]) pictures[at + step].click();
  });
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData ? event.clipboardData.files : [])];
    if (files.length && !event.target.closest("input, textarea, .takes-files") && hand(files)) event.preventDefault();
  });
  const elsewhere = (event) => !event.target.closest || !event.target.closest(".takes-files, [data-testid=file-upload], .file-preview");
  document.addEventListener("dragover", (event) => { if (elsewhere(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => {
    if (!elsewhere(event) || !event.dataTransfer || !event.dataTransfer.files.length) return;
    event.preventDefault();
    hand([...event.dataTransfer.files]);
  });
  const named = () => {
    for (const button of document.querySelectorAll("button:not([aria-label]):not([title])")) {
      const block = button.textContent.trim() ? null : button.closest(".block");
      const label = block && block.querySelector("[data-testid=block-label]");
      if (block) button.setAttribute("aria-label", label && label.textContent.trim() || block.id.replaceAll("-", " ") || "Picture");
    }
  };
  const title = document.title;
  let due = 0, working = false;
  const noticed = () => {
    const busy = [...document.querySelectorAll(".halt")].some((element) => element.offsetParent !== null);
    if (working && !busy && document.hidden) document.title = `✓ ${title}`;
    working = busy;
  };
  document.addEventListener("visibilitychange", () => { if (!document.hidden) document.title = title; });
  new MutationObserver(() => { if (!due) due = setTimeout(() => { due = 0; named(); noticed(); }, 150); })
    .observe(document.body, { childList: true, subtree: true });
  document.documentElement.lang = document.documentElement.lang || "en";
}
