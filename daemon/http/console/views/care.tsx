export function Care() { return <h1>Care</h1>; }
