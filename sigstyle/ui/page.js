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
  const can = "Notification" in window && window.isSecureContext;
  const wanted = () => can && Notification.permission === "granted" && localStorage.getItem("sigstyle-notices") === "on";
  const LONG_S = 10;
  let told = null;
  const ended = () => {
    const list = document.getElementById("queue-ended");
    if (!list) return;
    const jobs = [...list.querySelectorAll("[data-id]")];
    const fresh = told ? jobs.filter((job) => !told.has(job.dataset.id)) : [];
    if (jobs.length || told) told = new Set(jobs.map((job) => job.dataset.id));
    const long = fresh.filter((job) => job.dataset.state !== "stopped" && Number(job.dataset.seconds) >= LONG_S);
    if (!document.hidden || !long.length) return;
    document.title = `✓ ${title}`;
    if (wanted()) for (const job of long) new Notification("SigStyle", { body: job.textContent, tag: job.dataset.id });
  };
  const telling = () => {
    const button = document.getElementById("queue-tell");
    if (!button) return;
    const refused = !can || Notification.permission === "denied";
    const text = refused ? "This browser shows no notices here" : wanted() ? "You are told when it ends" : "Tell me when it ends";
    if (button.textContent.trim() !== text) button.textContent = text;
    if (button.disabled !== refused) button.disabled = refused;
    if (button.getAttribute("aria-pressed") !== String(wanted())) button.setAttribute("aria-pressed", String(wanted()));
  };
  document.addEventListener("click", async (event) => {
    if (!event.target.closest || !event.target.closest("#queue-tell") || !can) return;
    const on = wanted();
    if (!on && Notification.permission === "default") await Notification.requestPermission();
    localStorage.setItem("sigstyle-notices", on || Notification.permission !== "granted" ? "off" : "on");
    telling();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) document.title = title; });
  new MutationObserver(() => { if (!due) due = setTimeout(() => { due = 0; named(); noticed(); ended(); telling(); }, 150); })
    .observe(document.body, { childList: true, subtree: true });
  document.documentElement.lang = document.documentElement.lang || "en";
}
