for (const photo of document.querySelectorAll(".photo")) addControls(photo);
